// Ports whose channels are streams, each payload in one word. Above this text: `Pointers` to them,
// PORTS, BEAT.

struct Wires : Pointers {
    using Pointers::Pointers;

    // 40 bits of address, 8 of length, 3 of size, 2 of kind.
    static Request request(uint64_t bits) {
        return {bits & ((1ull << 40) - 1), (bits >> 40 & 255) + 1, bits >> 48 & 7, bits >> 51};
    }
    Request ar(unsigned p) const { return request(*ar_payload[p]); }
    Request aw(unsigned p) const { return request(*aw_payload[p]); }
    Beat w(unsigned p) const {
        Beat beat{w_payload[p], 0, w_payload[p][BEAT + BEAT / 8] & 1u};
        std::memcpy(&beat.strobe, w_payload[p] + BEAT, BEAT / 8);
        return beat;
    }
    void r(unsigned p, const uint8_t* data, unsigned response, bool last) const {
        std::memcpy(r_payload[p], data, BEAT);
        r_payload[p][BEAT] = response | last << 2;
    }
    void b(unsigned p, unsigned response) const { *b_payload[p] = response; }
};
