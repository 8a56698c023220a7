// AXI4 memory behind one port: answers in order, and checks the rules on the way.

#include <array>
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

// A channel that stalls at random, with a probability of `often` / 256, does so for a cycle.
struct Stalls {
    uint32_t seed, often;

    bool operator()() {
        seed = seed * 1664525u + 1013904223u;
        return (seed >> 16 & 255) < often;
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

// `Channels`, made for the configuration, has pointers to valid, ready and payload of every port's
// channels.

// Memory behind all ports. A valid answer stays until it is taken.
struct AxiMemory {
    uint8_t* bytes;
    unsigned line_bytes, beat_bytes;
    uint64_t read_delay, write_delay, failing;  // reading line `failing` fails
    Stalls& stalls;
    std::vector<Port> ports;
    std::vector<char> r_offered, b_offered;

    AxiMemory(uint8_t* bytes, uint64_t lines, unsigned line_bytes, unsigned beat_bytes,
              uint64_t read_delay, uint64_t write_delay, uint64_t failing, Stalls& stalls)
        : bytes(bytes), line_bytes(line_bytes), beat_bytes(beat_bytes), read_delay(read_delay),
          write_delay(write_delay), failing(failing), stalls(stalls),
          r_offered(line_bytes / beat_bytes, 0), b_offered(line_bytes / beat_bytes, 0) {
        for (unsigned p = 0; p < line_bytes / beat_bytes; ++p)
            ports.push_back({bytes + p * beat_bytes, line_bytes, beat_bytes, lines * beat_bytes,
                             {}, {}, {}, {}, {}, {}});
    }

    // Before the model settles: what it may send, what it is answered.
    template <typename C> void offer(const C& c, uint64_t cycle) {
        for (unsigned p = 0; p < ports.size(); ++p) {
            Port& port = ports[p];
            *c.ar_ready[p] = !stalls();
            *c.aw_ready[p] = !stalls();
            *c.w_ready[p] = !stalls() && !port.writes.empty();
            r_offered[p] = port.read_valid(cycle) && (r_offered[p] || !stalls());
            b_offered[p] = port.response_valid(cycle) && (b_offered[p] || !stalls());
            *c.r_valid[p] = r_offered[p];
            *c.b_valid[p] = b_offered[p];
            if (r_offered[p]) {
                uint8_t* at = port.place(port.reads[0], port.beat);
                std::memcpy(c.r_payload[p], at, beat_bytes);
                const bool fails = uint64_t(at - bytes) / line_bytes == failing;
                c.r_payload[p][beat_bytes / 4] = (fails ? 2 : 0) | (port.read_last() ? 4 : 0);
            }
            *c.b_payload[p] = 0;
        }
    }

    // After it has settled: what passes in this cycle.
    template <typename C> void pass(const C& c, uint64_t cycle) {
        for (unsigned p = 0; p < ports.size(); ++p) {
            Port& port = ports[p];
            const uint64_t ar = *c.ar_payload[p], aw = *c.aw_payload[p];
            const int beat_words = (9 * beat_bytes + 32) / 32;
            port.ar.check(*c.ar_valid[p], *c.ar_ready[p], (const uint32_t*)&ar, 2, cycle);
            port.aw.check(*c.aw_valid[p], *c.aw_ready[p], (const uint32_t*)&aw, 2, cycle);
            port.w.check(*c.w_valid[p], *c.w_ready[p], c.w_payload[p], beat_words, cycle);
            if (*c.r_valid[p] && *c.r_ready[p]) { port.read_taken(); r_offered[p] = 0; }
            if (*c.b_valid[p] && *c.b_ready[p]) { port.responses.pop_front(); b_offered[p] = 0; }
            if (*c.w_valid[p] && *c.w_ready[p]) {
                const uint8_t* beat = (const uint8_t*)c.w_payload[p];
                uint64_t strobe = 0;
                std::memcpy(&strobe, beat + beat_bytes, beat_bytes / 8);
                const bool last = beat[beat_bytes + beat_bytes / 8] & 1;
                port.write_beat(beat, strobe, last, cycle + write_delay, cycle);
            }
            if (*c.ar_valid[p] && *c.ar_ready[p])
                port.reads.push_back(port.accept(ar, cycle + read_delay, cycle));
            if (*c.aw_valid[p] && *c.aw_ready[p])
                port.writes.push_back(port.accept(aw, 0, cycle));
        }
    }
};
