// Runs programs on module core, memory behind its ports.
// Above this text: axi_memory.h, and what is made for the configuration.

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
extern "C" int64_t run(uint8_t* bytes, uint64_t lines, const Options* options,
                       Event* events, uint64_t room, uint64_t* ended) {
    const auto context = std::make_unique<VerilatedContext>();
    const auto top = std::make_unique<Vtop>(context.get());
    Stalls stalls{options->seed, options->stall};
    AxiMemory memory(bytes, lines, LINE, BEAT, options->read_delay, options->write_delay, options->failing, stalls);
    uint64_t count = 0, cycle = 0;
    const auto clock = [&] { top->clk = 1; top->eval(); top->clk = 0; top->eval(); };
    const Channels channels(*top);
    try {
        top->rst = 1; clock(); top->rst = 0;
        top->program = options->program;
        top->instructions = options->instructions;
        top->start = 1; clock(); top->start = 0;
        for (; cycle < options->limit; ++cycle) {
            memory.offer(channels, cycle);
            top->eval();
            memory.pass(channels, cycle);
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
