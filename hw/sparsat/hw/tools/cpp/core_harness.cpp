// Runs programs on module core, memory behind its ports.
// Above this text: axi_memory.h, and the constants and tables made for the configuration.

double sc_time_stamp() { return 0; }

struct Event { uint64_t cycle, kind; };
struct Options {
    uint64_t program, instructions, read_delay, write_delay, failing, limit;
    uint32_t seed, stall;
};

static std::string fault;
extern "C" const char* what_failed() { return fault.c_str(); }

// Returns the number of events, or -1 and `what_failed`. `ended` gets the last cycle, the error,
// its instruction, the overflow flag.
extern "C" int64_t run(uint8_t* memory, uint64_t lines, const Options* options,
                       Event* events, uint64_t room, uint64_t* ended) {
    const auto context = std::make_unique<VerilatedContext>();
    const auto top = std::make_unique<Vtop>(context.get());
    std::vector<Port> ports;
    for (unsigned p = 0; p < PORTS; ++p)
        ports.push_back({memory + p * BEAT, LINE, BEAT, lines * BEAT, {}, {}, {}, {}, {}, {}});
    uint32_t seed = options->seed;
    const auto stalls = [&] {
        seed = seed * 1664525u + 1013904223u;
        return (seed >> 16 & 255) < options->stall;
    };
    uint64_t count = 0, cycle = 0;
    const auto clock = [&] { top->clk = 1; top->eval(); top->clk = 0; top->eval(); };
    PORT_TABLES
    // A valid answer stays until it is taken; a channel that stalls does so for a cycle.
    std::vector<char> r_offered(PORTS, 0), b_offered(PORTS, 0);
    try {
        top->rst = 1; clock(); top->rst = 0;
        top->program = options->program;
        top->instructions = options->instructions;
        top->start = 1; clock(); top->start = 0;
        for (; cycle < options->limit; ++cycle) {
            for (unsigned p = 0; p < PORTS; ++p) {
                Port& port = ports[p];
                *ar_ready[p] = !stalls();
                *aw_ready[p] = !stalls();
                *w_ready[p] = !stalls() && !port.writes.empty();
                r_offered[p] = port.read_valid(cycle) && (r_offered[p] || !stalls());
                b_offered[p] = port.response_valid(cycle) && (b_offered[p] || !stalls());
                *r_valid[p] = r_offered[p];
                *b_valid[p] = b_offered[p];
                if (r_offered[p]) {
                    uint8_t* at = port.place(port.reads[0], port.beat);
                    std::memcpy(r_payload[p], at, BEAT);
                    const bool fails = uint64_t(at - memory) / LINE == options->failing;
                    r_payload[p][BEAT / 4] = (fails ? 2 : 0) | (port.read_last() ? 4 : 0);
                }
                *b_payload[p] = 0;
            }
            top->eval();
            for (unsigned p = 0; p < PORTS; ++p) {
                Port& port = ports[p];
                const uint64_t ar = *ar_payload[p], aw = *aw_payload[p];
                port.ar.check(*ar_valid[p], *ar_ready[p], (const uint32_t*)&ar, 2, cycle);
                port.aw.check(*aw_valid[p], *aw_ready[p], (const uint32_t*)&aw, 2, cycle);
                port.w.check(*w_valid[p], *w_ready[p], w_payload[p], (9 * BEAT + 32) / 32, cycle);
                if (*r_valid[p] && *r_ready[p]) { port.read_taken(); r_offered[p] = 0; }
                if (*b_valid[p] && *b_ready[p]) { port.responses.pop_front(); b_offered[p] = 0; }
                if (*w_valid[p] && *w_ready[p]) {
                    const uint8_t* beat = (const uint8_t*)w_payload[p];
                    uint64_t strobe = 0;
                    std::memcpy(&strobe, beat + BEAT, BEAT / 8);
                    const bool last = beat[BEAT + BEAT / 8] & 1;
                    port.write_beat(beat, strobe, last, cycle + options->write_delay, cycle);
                }
                if (*ar_valid[p] && *ar_ready[p])
                    port.reads.push_back(port.accept(ar, cycle + options->read_delay, cycle));
                if (*aw_valid[p] && *aw_ready[p])
                    port.writes.push_back(port.accept(aw, 0, cycle));
            }
            unsigned kind = 0;
            const auto log = [&](bool happens) {
                if (happens) {
                    need(count < room, "too many events", cycle);
                    events[count++] = {cycle, kind};
                }
                ++kind;
            };
            EVENTS
            if (top->error || top->done) break;
            clock();
        }
        need(cycle < options->limit, "not done", cycle);
    } catch (const Fault& found) {
        fault = found.what();
        return -1;
    }
    ended[0] = cycle;
    ended[1] = top->error;
    ended[2] = top->error_number;
    ended[3] = top->overflow;
    top->final();
    return count;
}
