// Module sat with memory behind its ports and a host at its registers, all in one clock.
// Above this text: axi_memory.h, and what is made for the configuration.

#if VM_TRACE
#include "verilated_fst_c.h"
#endif

double sc_time_stamp() { return 0; }

struct Event { int64_t cycle; uint64_t kind; };
struct Options {
    MemoryOptions memory;
    uint32_t seed, stall;  // of 256 chances to wait
};

static std::string fault;
extern "C" const char* what_failed() { return fault.c_str(); }

class Card {
public:
    Card(uint8_t* memory, uint64_t lines, const Options& options, const char* trace)
        : stalls_{options.seed, options.stall},
          memory_(memory, lines, LINE, BEAT, options.memory, stalls_) {
#if VM_TRACE
        if (trace) {
            context_->traceEverOn(true);
            top_->trace(&trace_, 99);
            trace_.open(trace);
        }
#endif
        top_->rst = 1;
        clock();
        silent_ = memory_.silent(wires_) && !top_->s_axil_bvalid && !top_->s_axil_rvalid;
        top_->rst = 0;
    }
    ~Card() {
#if VM_TRACE
        if (trace_.isOpen()) trace_.close();
#endif
        top_->final();
    }

    uint32_t write(uint32_t offset, uint32_t value, uint32_t strobe) {
        top_->s_axil_awaddr = offset;
        top_->s_axil_wdata = value;
        top_->s_axil_wstrb = strobe;
        asks_aw_ = asks_w_ = wants_b_ = true;
        const uint64_t limit = now_ + 10000;
        while (wants_b_) cycle(limit);
        return answer_;
    }

    uint32_t read(uint32_t offset, uint32_t* value) {
        top_->s_axil_araddr = offset;
        asks_ar_ = wants_r_ = true;
        const uint64_t limit = now_ + 10000;
        while (wants_r_) cycle(limit);
        *value = data_;
        return answer_;
    }

    bool wait(uint64_t cycles) {
        for (uint64_t end = now_ + cycles; now_ < end && !interrupt_;) cycle(~0ull);
        return interrupt_;
    }

    void idle(uint64_t cycles) {
        for (uint64_t end = now_ + cycles; now_ < end;) cycle(~0ull);
    }

    int64_t program_cycle() const { return int64_t(now_ - zero_); }
    std::vector<Event> events;

private:
    void clock() {
        top_->clk = 1;
        top_->eval();
        dump();
        top_->clk = 0;
        top_->eval();
        dump();
        ++now_;
    }

    void dump() {
#if VM_TRACE
        if (trace_.isOpen()) trace_.dump(time_);
#endif
        ++time_;
    }

    // The host's requests stay until they are taken; it may take answers late.
    void ask() {
        top_->s_axil_awvalid = asks_aw_ && (top_->s_axil_awvalid || !stalls_());
        top_->s_axil_wvalid = asks_w_ && (top_->s_axil_wvalid || !stalls_());
        top_->s_axil_arvalid = asks_ar_ && (top_->s_axil_arvalid || !stalls_());
        top_->s_axil_bready = wants_b_ && !stalls_();
        top_->s_axil_rready = wants_r_ && !stalls_();
    }

    // Answers come for what was asked, and stay until they are taken.
    void answered() {
        const uint32_t read[] = {top_->s_axil_rdata, top_->s_axil_rresp};
        b_.check(top_->s_axil_bvalid, top_->s_axil_bready, &top_->s_axil_bresp, 1, now_);
        r_.check(top_->s_axil_rvalid, top_->s_axil_rready, read, sizeof read, now_);
        if (top_->s_axil_bvalid) need(wants_b_ && !asks_aw_ && !asks_w_, "B comes unasked", now_);
        if (top_->s_axil_rvalid) need(wants_r_ && !asks_ar_, "R comes unasked", now_);
        if (top_->s_axil_awvalid && top_->s_axil_awready) asks_aw_ = false;
        if (top_->s_axil_wvalid && top_->s_axil_wready) asks_w_ = false;
        if (top_->s_axil_arvalid && top_->s_axil_arready) asks_ar_ = false;
        if (top_->s_axil_bvalid && top_->s_axil_bready) {
            answer_ = top_->s_axil_bresp;
            wants_b_ = false;
        }
        if (top_->s_axil_rvalid && top_->s_axil_rready) {
            answer_ = top_->s_axil_rresp;
            data_ = top_->s_axil_rdata;
            wants_r_ = false;
        }
    }

    void cycle(uint64_t limit) {
        need(now_ < limit, "the registers do not answer", now_);
        need(silent_, "something is valid during reset", 0);
        ask();
        memory_.offer(wires_, now_);
        top_->eval();
        memory_.pass(wires_, now_);
        answered();
        interrupt_ = top_->__SYM__interrupt;
        if (top_->events & 1) {
            events.clear();
            zero_ = now_ + 1;
        }
        for (unsigned kind = 1; top_->events >> kind; ++kind)
            if (top_->events >> kind & 1) events.push_back({program_cycle(), kind});
        clock();
    }

    std::unique_ptr<VerilatedContext> context_ = std::make_unique<VerilatedContext>();
    std::unique_ptr<Vtop> top_ = std::make_unique<Vtop>(context_.get());
    const Wires wires_{*top_};
    Stalls stalls_;
    AxiMemory memory_;
    Sender b_, r_;
    uint64_t now_ = 0, zero_ = 0, time_ = 0;
    uint32_t answer_ = 0, data_ = 0;
    bool asks_aw_ = false, asks_w_ = false, asks_ar_ = false, wants_b_ = false, wants_r_ = false;
    bool interrupt_ = false, silent_ = false;
#if VM_TRACE
    VerilatedFstC trace_;
#endif
};

// -1 where a rule is broken: see `what_failed`.
template <class Do> static int64_t guarded(Do&& action) {
    try {
        return action();
    } catch (const Fault& found) {
        fault = found.what();
        return -1;
    }
}

extern "C" {
Card* make(uint8_t* memory, uint64_t lines, const Options* options, const char* trace) {
    return new Card(memory, lines, *options, trace);
}
void unmake(Card* card) { delete card; }
int64_t write_register(Card* card, uint32_t offset, uint32_t value, uint32_t strobe) {
    return guarded([&] { return card->write(offset, value, strobe); });
}
int64_t read_register(Card* card, uint32_t offset, uint32_t* value) {
    return guarded([&] { return card->read(offset, value); });
}
int64_t wait(Card* card, uint64_t cycles) { return guarded([&] { return card->wait(cycles); }); }
int64_t idle(Card* card, uint64_t cycles) {
    return guarded([&] { card->idle(cycles); return 0; });
}
int64_t program_cycle(const Card* card) { return card->program_cycle(); }
uint64_t event_count(const Card* card) { return card->events.size(); }
const Event* events(const Card* card) { return card->events.data(); }
}
