// Ports with the pins of the standard. Above this text: `Pointers` to them, PORTS, BEAT.

struct Wires : Pointers {
    using Pointers::Pointers;

    Request ar(unsigned p) const {
        return {*ar_addr[p], *ar_len[p] + 1u, *ar_size[p], *ar_burst[p]};
    }
    Request aw(unsigned p) const {
        return {*aw_addr[p], *aw_len[p] + 1u, *aw_size[p], *aw_burst[p]};
    }
    Beat w(unsigned p) const {
        Beat beat{w_data[p], 0, *w_last[p]};
        std::memcpy(&beat.strobe, w_strb[p], BEAT / 8);
        return beat;
    }
    void r(unsigned p, const uint8_t* data, unsigned response, bool last) const {
        std::memcpy(r_data[p], data, BEAT);
        *r_resp[p] = response;
        *r_last[p] = last;
    }
    void b(unsigned p, unsigned response) const { *b_resp[p] = response; }
};
