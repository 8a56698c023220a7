// Module sat with memory behind its ports and a host at its registers, all in one clock.
// Above this text: axi_memory.h, and the constants and tables made for the configuration.

double sc_time_stamp() { return 0; }

struct Event { int64_t cycle; uint64_t kind; };
struct Options {
    uint64_t read_delay, write_delay;      // cycles to a read's first beat, to a write's response
    uint64_t fail_from, fail_to, response; // lines that are answered with this response
    uint64_t base;                         // address of each port's memory
    uint32_t seed, stall;                  // of 256 chances to wait
};

static std::string fault;
extern "C" const char* what_failed() { return fault.c_str(); }

class Card {
public:
    Card(uint8_t* memory, uint64_t lines, const Options& options, const char* trace)
        : memory_(memory), options_(options), seed_(options.seed) {
        top_ = std::make_unique<Vtop>(context_.get());
#if VM_TRACE
        if (trace) {
            context_->traceEverOn(true);
            top_->trace(&trace_, 99);
            trace_.open(trace);
        }
#endif
        for (unsigned p = 0; p < PORTS; ++p)
            ports_.push_back({memory + p * BEAT, LINE, BEAT, lines * BEAT, {}, {}, {}, {}, {}, {}});
        Vtop* const top = top_.get();
        PORT_TABLES
        top->rst = 1;
        clock();
        top->rst = 0;
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

    bool stalls() {
        seed_ = seed_ * 1664525u + 1013904223u;
        return (seed_ >> 16 & 255) < options_.stall;
    }

    uint32_t response(uint64_t line) const {
        return options_.fail_from <= line && line < options_.fail_to ? options_.response : 0;
    }

    void offer(Port& port, Pins& pins, const bool& r_before, const bool& b_before) {
        *pins.arready = !stalls();
        *pins.awready = !stalls();
        *pins.wready = !stalls() && !port.writes.empty();
        *pins.rvalid = port.read_valid(now_) && (r_before || !stalls());
        *pins.bvalid = port.response_valid(now_) && (b_before || !stalls());
        if (*pins.rvalid) {
            const uint8_t* at = port.place(port.reads[0], port.beat);
            std::memcpy(pins.rdata, at, BEAT);
            *pins.rresp = response(uint64_t(at - memory_) / LINE);
            *pins.rlast = port.read_last();
        }
        if (*pins.bvalid) *pins.bresp = response(port.responses[0].address / BEAT);
    }

    void accept(Port& port, Pins& pins) {
        const auto address = [&](const auto& addr, auto len, auto size, auto burst) {
            return std::array<uint64_t, 2>{addr, uint64_t(len) | size << 8 | burst << 16};
        };
        const auto ar = address(*pins.araddr, *pins.arlen, *pins.arsize, *pins.arburst);
        const auto aw = address(*pins.awaddr, *pins.awlen, *pins.awsize, *pins.awburst);
        port.ar.check(*pins.arvalid, *pins.arready, (const uint32_t*)&ar, 4, now_);
        port.aw.check(*pins.awvalid, *pins.awready, (const uint32_t*)&aw, 4, now_);
        uint8_t beat[BEAT + BEAT / 8 + 4] = {};
        std::memcpy(beat, pins.wdata, BEAT);
        std::memcpy(beat + BEAT, pins.wstrb, BEAT / 8);
        beat[BEAT + BEAT / 8] = *pins.wlast;
        port.w.check(*pins.wvalid, *pins.wready, (const uint32_t*)beat, sizeof beat / 4, now_);
        if (*pins.rvalid && *pins.rready) port.read_taken();
        if (*pins.bvalid && *pins.bready) port.responses.pop_front();
        if (*pins.wvalid && *pins.wready) {
            uint64_t strobe = 0;
            std::memcpy(&strobe, pins.wstrb, BEAT / 8);
            port.write_beat(beat, strobe, *pins.wlast, now_ + options_.write_delay, now_);
        }
        if (*pins.arvalid && *pins.arready)
            port.reads.push_back(port.accept(*pins.araddr - options_.base, *pins.arlen + 1u,
                                             *pins.arsize, *pins.arburst, now_ + options_.read_delay, now_));
        if (*pins.awvalid && *pins.awready)
            port.writes.push_back(port.accept(*pins.awaddr - options_.base, *pins.awlen + 1u,
                                              *pins.awsize, *pins.awburst, 0, now_));
    }

    // The host's requests stay until they are taken; it may take answers late.
    void ask() {
        top_->s_axil_awvalid = asks_aw_ && (top_->s_axil_awvalid || !stalls());
        top_->s_axil_wvalid = asks_w_ && (top_->s_axil_wvalid || !stalls());
        top_->s_axil_arvalid = asks_ar_ && (top_->s_axil_arvalid || !stalls());
        top_->s_axil_bready = wants_b_ && !stalls();
        top_->s_axil_rready = wants_r_ && !stalls();
    }

    void answered() {
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
        ask();
        for (unsigned p = 0; p < PORTS; ++p)
            offer(ports_[p], pins_[p], r_waits_[p], b_waits_[p]);
        top_->eval();
        for (unsigned p = 0; p < PORTS; ++p) {
            accept(ports_[p], pins_[p]);
            r_waits_[p] = *pins_[p].rvalid && !*pins_[p].rready;
            b_waits_[p] = *pins_[p].bvalid && !*pins_[p].bready;
        }
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

    uint8_t* const memory_;
    const Options options_;
    std::unique_ptr<VerilatedContext> context_ = std::make_unique<VerilatedContext>();
    std::unique_ptr<Vtop> top_;
    std::vector<Port> ports_;
    std::array<Pins, PORTS> pins_;
    std::array<bool, PORTS> r_waits_{}, b_waits_{};
    uint64_t now_ = 0, zero_ = 0, time_ = 0;
    uint32_t seed_, answer_ = 0, data_ = 0;
    bool asks_aw_ = false, asks_w_ = false, asks_ar_ = false, wants_b_ = false, wants_r_ = false;
    bool interrupt_ = false;
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
