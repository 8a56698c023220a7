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

// What an address channel, and one with data to write, say.
struct Request { uint64_t address, beats, log, type; };
struct Beat { const uint8_t* data; uint64_t strobe, last; };

// A channel on which the model sends: what it offers stays until it is accepted.
struct Sender {
    std::vector<uint8_t> before;
    bool held = false;

    void check(bool valid, bool ready, const void* now, size_t size, uint64_t cycle) {
        const auto* bytes = (const uint8_t*)now;
        const bool same = valid && before.size() == size && !std::memcmp(before.data(), bytes, size);
        need(!held || same, "a payload changed before it was accepted", cycle);
        held = valid && !ready;
        if (held) before.assign(bytes, bytes + size);
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
    Sender ar, aw, w, w_ends;
    std::deque<Burst> reads, writes, responses;
    unsigned beat = 0, written = 0;

    Burst accept(const Request& r, uint64_t ready, uint64_t cycle) {
        need(1u << r.log == beat_bytes && r.type == 1, "a burst is not of whole beats, INCR", cycle);
        need(r.address % beat_bytes == 0, "an address is not aligned", cycle);
        const uint64_t last = r.address + r.beats * beat_bytes - 1;
        need(r.address / 4096 == last / 4096, "a burst crosses 4 KiB", cycle);
        need(last < size, "a burst lies outside memory", cycle);
        return {r.address, unsigned(r.beats), ready};
    }

    uint8_t* place(const Burst& burst, unsigned beat) {
        return bytes + (burst.address / beat_bytes + beat) * line_bytes;
    }

    bool read_valid(uint64_t cycle) const { return !reads.empty() && reads[0].ready <= cycle; }
    bool read_last() const { return beat + 1 == reads[0].beats; }

    void read_taken() {
        if (++beat == reads[0].beats) { reads.pop_front(); beat = 0; }
    }

    void write_beat(const Beat& beat, uint64_t ready, uint64_t cycle) {
        need(!writes.empty(), "a beat comes before its address", cycle);
        uint8_t* to = place(writes[0], written++);
        for (unsigned i = 0; i < beat_bytes; ++i)
            if (beat.strobe >> i & 1) to[i] = beat.data[i];
        need(beat.last == (written == writes[0].beats), "WLAST is wrong", cycle);
        if (!beat.last) return;
        responses.push_back({writes[0].address, 0, ready});
        writes.pop_front();
        written = 0;
    }

    bool response_valid(uint64_t cycle) const {
        return !responses.empty() && responses[0].ready <= cycle;
    }
};

// How memory behaves; lines that fail are answered with `response`.
struct MemoryOptions {
    uint64_t read_delay, write_delay;  // cycles to a read's first beat, to a write's response
    uint64_t fail_from, fail_to, response;
    uint64_t bases[4];  // where each port's memory begins
};

// Memory behind all ports. A valid answer stays until it is taken. `Wires` are the model's pins:
// pointers to valid and ready of every port's channels, and what the channels say.
struct AxiMemory {
    uint8_t* bytes;
    unsigned line_bytes, beat_bytes;
    MemoryOptions options;
    Stalls& stalls;
    std::vector<Port> ports;
    std::vector<char> r_offered, b_offered;

    AxiMemory(uint8_t* bytes, uint64_t lines, unsigned line_bytes, unsigned beat_bytes,
              const MemoryOptions& options, Stalls& stalls)
        : bytes(bytes), line_bytes(line_bytes), beat_bytes(beat_bytes), options(options),
          stalls(stalls), r_offered(line_bytes / beat_bytes, 0),
          b_offered(line_bytes / beat_bytes, 0) {
        for (unsigned p = 0; p < line_bytes / beat_bytes; ++p)
            ports.push_back({bytes + p * beat_bytes, line_bytes, beat_bytes, lines * beat_bytes,
                             {}, {}, {}, {}, {}, {}, {}});
    }

    unsigned response(uint64_t line) const {
        return options.fail_from <= line && line < options.fail_to ? options.response : 0;
    }

    // Whether no port asks for anything.
    template <typename Wires> bool silent(const Wires& c) const {
        for (unsigned p = 0; p < ports.size(); ++p)
            if (*c.ar_valid[p] || *c.aw_valid[p] || *c.w_valid[p]) return false;
        return true;
    }

    // Before the model settles: what it may send, what it is answered.
    template <typename Wires> void offer(const Wires& c, uint64_t cycle) {
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
                const uint8_t* at = port.place(port.reads[0], port.beat);
                c.r(p, at, response(uint64_t(at - bytes) / line_bytes), port.read_last());
            }
            if (b_offered[p]) c.b(p, response(port.responses[0].address / beat_bytes));
        }
    }

    // After it has settled: what passes in this cycle.
    template <typename Wires> void pass(const Wires& c, uint64_t cycle) {
        for (unsigned p = 0; p < ports.size(); ++p) {
            Port& port = ports[p];
            Request ar = c.ar(p), aw = c.aw(p);
            ar.address -= options.bases[p];
            aw.address -= options.bases[p];
            const Beat w = c.w(p);
            const uint64_t ends[] = {w.strobe, w.last};
            port.ar.check(*c.ar_valid[p], *c.ar_ready[p], &ar, sizeof ar, cycle);
            port.aw.check(*c.aw_valid[p], *c.aw_ready[p], &aw, sizeof aw, cycle);
            port.w.check(*c.w_valid[p], *c.w_ready[p], w.data, beat_bytes, cycle);
            port.w_ends.check(*c.w_valid[p], *c.w_ready[p], ends, sizeof ends, cycle);
            if (*c.r_valid[p] && *c.r_ready[p]) { port.read_taken(); r_offered[p] = 0; }
            if (*c.b_valid[p] && *c.b_ready[p]) { port.responses.pop_front(); b_offered[p] = 0; }
            if (*c.w_valid[p] && *c.w_ready[p])
                port.write_beat(w, cycle + options.write_delay, cycle);
            if (*c.ar_valid[p] && *c.ar_ready[p])
                port.reads.push_back(port.accept(ar, cycle + options.read_delay, cycle));
            if (*c.aw_valid[p] && *c.aw_ready[p])
                port.writes.push_back(port.accept(aw, 0, cycle));
        }
    }
};
