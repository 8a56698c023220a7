// AXI4 memory behind one port: answers in order, and checks the rules on the way.

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <stdexcept>
#include <string>
#include <vector>

struct Fault : std::runtime_error { using std::runtime_error::runtime_error; };

inline void need(bool holds, const char* what, uint64_t cycle) {
    if (!holds) throw Fault(std::string(what) + " in cycle " + std::to_string(cycle));
}

// A channel on which the requesting side sends: what it offers stays until it is accepted.
struct Sender {
    std::vector<uint32_t> before;
    bool held = false;

    void check(bool valid, bool ready, const uint32_t* words, int count, uint64_t cycle) {
        std::vector<uint32_t> now(words, words + count);
        need(!held || (valid && now == before), "a payload changed before it was accepted", cycle);
        held = valid && !ready;
        before = now;
    }
};

struct Burst {
    uint64_t address;
    unsigned beats;
    uint64_t ready;
};

struct Port {
    uint8_t* bytes;       // this port's part of line 0
    uint64_t line_bytes;  // from one line's part to the next
    unsigned beat_bytes;
    uint64_t size;        // bytes of this port's address space
    Sender ar, aw, w;
    std::deque<Burst> reads, writes, responses;
    unsigned beat = 0, written = 0;

    Burst accept(uint64_t address, unsigned beats, unsigned log, unsigned type, uint64_t ready,
                 uint64_t cycle) {
        need(1u << log == beat_bytes && type == 1, "a burst is not of whole beats, INCR", cycle);
        need(address % beat_bytes == 0, "an address is not aligned", cycle);
        const uint64_t last = address + beats * beat_bytes - 1;
        need(address / 4096 == last / 4096, "a burst crosses 4 KiB", cycle);
        need(last < size, "a burst lies outside memory", cycle);
        return {address, beats, ready};
    }

    // The same, of an address channel in one word: 40 bits of address, 8 of length, 3 of size, 2.
    Burst accept(uint64_t bits, uint64_t ready, uint64_t cycle) {
        const uint64_t address = bits & ((1ull << 40) - 1);
        return accept(address, (bits >> 40 & 255) + 1, bits >> 48 & 7, bits >> 51, ready, cycle);
    }

    uint8_t* place(const Burst& burst, unsigned beat) {
        return bytes + (burst.address / beat_bytes + beat) * line_bytes;
    }

    bool read_valid(uint64_t cycle) const { return !reads.empty() && reads[0].ready <= cycle; }
    bool read_last() const { return beat + 1 == reads[0].beats; }

    void read_taken() {
        if (++beat == reads[0].beats) { reads.pop_front(); beat = 0; }
    }

    void write_beat(const uint8_t* data, uint64_t strobe, bool last, uint64_t ready, uint64_t cycle) {
        need(!writes.empty(), "a beat comes before its address", cycle);
        uint8_t* to = place(writes[0], written++);
        for (unsigned i = 0; i < beat_bytes; ++i)
            if (strobe >> i & 1) to[i] = data[i];
        need(last == (written == writes[0].beats), "WLAST is wrong", cycle);
        if (!last) return;
        responses.push_back({writes[0].address, 0, ready});
        writes.pop_front();
        written = 0;
    }

    bool response_valid(uint64_t cycle) const {
        return !responses.empty() && responses[0].ready <= cycle;
    }
};
