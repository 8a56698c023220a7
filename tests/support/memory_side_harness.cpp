// Runs a program on module memory_side, memory behind its ports, tokens given as scripted.
// Above this text: axi_memory.h, and what is made for the configuration.

double sc_time_stamp() { return 0; }

struct Given { uint64_t cycle, mask; };
struct Event { uint64_t cycle, kind, value, mask; uint8_t data[LINE]; };
struct Written { uint64_t line, count; };

static void set_request(uint32_t* words, const Written& burst) {
    const unsigned __int128 bits = burst.line | (unsigned __int128)(burst.count | 128) << LINE_BITS;
    for (int w = 0; w < 3; ++w) words[w] = bits >> 32 * w;
}

static std::string fault;
extern "C" const char* what_failed() { return fault.c_str(); }

enum { DISPATCHED, A_STARTED, B_STARTED, A_ENDED, B_ENDED, S_STARTED, S_ENDED,
       WATCHED_0, WATCHED_1, A_WRITE, B_VALUES, B_INDICES, WRITTEN, FAILED };
const uint32_t UPDATES = 1 << 4;

// Returns the number of events, or -1 and `what_failed`.
extern "C" int64_t run(uint8_t* bytes, uint64_t lines, uint64_t program, uint64_t instructions,
                       const Given* given, uint64_t gifts, const Written* writes, uint64_t write_count,
                       const uint8_t* to_write, const uint8_t* strobes, const uint32_t* sums,
                       const uint32_t* watch, uint64_t read_delay, uint64_t write_delay,
                       uint32_t seed, uint32_t stall, uint64_t failing,
                       Event* events, uint64_t room, uint64_t limit) {
    const auto context = std::make_unique<VerilatedContext>();
    const auto top = std::make_unique<Vtop>(context.get());
    Stalls stalls{seed, stall};
    const MemoryOptions options{read_delay, write_delay, failing, failing + 1, 2, {}};
    AxiMemory memory(bytes, lines, LINE, BEAT, options, stalls);
    uint64_t count = 0, gift = 0, update = 0, moved = 0, written = 0, cycle = 0;
    const auto log = [&](uint64_t kind, uint64_t value) -> Event& {
        need(count < room, "too many events", cycle);
        Event& event = events[count++];
        event.cycle = cycle;
        event.kind = kind;
        event.value = value;
        return event;
    };
    const auto rows_written = [&](uint64_t kind, uint64_t half, uint64_t line, uint64_t mask,
                                  const uint32_t* data) {
        Event& event = log(kind, half << 63 | line);
        event.mask = mask;
        std::memcpy(event.data, data, LINE);
    };
    const auto clock = [&] { top->clk = 1; top->eval(); top->clk = 0; top->eval(); };
    const Wires wires(*top);
    bool line_offered = false;
    uint64_t to_move = 0;
    for (uint64_t s = 0; s < write_count; ++s) to_move += writes[s].count;
    try {
        top->rst = 1; clock(); top->rst = 0;
        top->program = program;
        top->instructions = instructions;
        top->blocks = lines / 64;
        top->start = 1; clock(); top->start = 0;
        for (; cycle < limit; ++cycle) {
            uint32_t mask = 0;
            for (; gift < gifts && given[gift].cycle == cycle; ++gift) mask |= given[gift].mask;
            top->tokens_exec___05Fgive = mask;
            top->tokens_exec___05Fwait = watch[0];
            top->tokens_exec___05Ftake = watch[1];
            memory.offer(wires, cycle);
            top->request_update___05Fvalid = update < write_count;
            if (update < write_count) set_request(&top->request_update___05Fpayload[0], writes[update]);
            top->write_update___05Fvalid = moved < to_move && (line_offered || !stalls());
            line_offered = top->write_update___05Fvalid;
            if (line_offered) {
                auto* line = &top->write_update___05Fpayload[0];
                std::memcpy(line, to_write + moved * LINE, LINE);
                std::memcpy(line + LINE / 4, strobes + moved * LINE / 8, LINE / 8);
            }
            top->eval();

            memory.pass(wires, cycle);
            if (update < write_count && top->request_update___05Fready) ++update;
            if (line_offered && top->write_update___05Fready) { ++moved; line_offered = false; }
            if (top->dispatched) log(DISPATCHED, 0);
            if (top->load_a_started) log(A_STARTED, 0);
            if (top->load_b_started) log(B_STARTED, 0);
            if (top->load_a_ended) log(A_ENDED, 0);
            if (top->load_b_ended) log(B_ENDED, 0);
            if (top->store_started) log(S_STARTED, 0);
            if (top->store_ended) log(S_ENDED, 0);
            if (top->tokens_exec___05Fwaited) log(WATCHED_0, 0);
            if (top->tokens_exec___05Ftaken) log(WATCHED_1, 0);
            if (top->load_a_valid) {
                // A line begins with its number: which one is written where.
                const uint64_t number = top->line[0], line = top->load_a_line;
                const bool same = !std::memcmp(&top->line[0], bytes + number * LINE, LINE);
                need(number < lines && same, "a line has changed on its way", cycle);
                log(A_WRITE, uint64_t(top->load_a_half) << 63 | line << 32 | number);
            }
            if (top->load_b_values_valid)
                rows_written(B_VALUES, top->load_b_values_half, top->load_b_values_line,
                             top->load_b_values_mask, &top->load_b_values_data[0]);
            if (top->load_b_indices_valid)
                rows_written(B_INDICES, top->load_b_indices_half, top->load_b_indices_line,
                             top->load_b_indices_mask, &top->load_b_indices_data[0]);
            if (top->written & UPDATES) { log(WRITTEN, 0); ++written; }
            if (top->error) { log(FAILED, uint64_t(top->error) << 32 | top->error_number); break; }
            const bool done = top->halted && top->load_a_idle && top->load_b_idle && top->store_idle;
            if (done && written == write_count && gift == gifts) break;
            const uint32_t* row = sums + (top->store_half * C_ROWS + top->store_row) * COLS;
            const bool reads = top->store_valid;
            clock();
            if (reads) std::memcpy(&top->store_values[0], row, 4 * COLS);
        }
        need(cycle < limit, "not done", cycle);
    } catch (const Fault& found) {
        fault = found.what();
        return -1;
    }
    top->final();
    return count;
}
