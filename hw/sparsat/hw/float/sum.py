"""Two numbers in the accumulator's frame, added and rounded once to binary32."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import In, Out

from sparsat.hw.float.layouts import ACC_LAYOUT


class Sum(wiring.Component):
    """`o = round_to_binary32(c + p)`, nearest even, in two's complement throughout.

    Where `fresh`, c counts as zero, whatever it is. To clear it would cost a LUT for each of its
    bits; it is enough to give it the least exponent, so that p is ahead, and to clear the register
    of the term that is behind.

    Parameters
    ----------
    addend : StructLayout
        Of p: `mant`, `exp`, `sign`, `inf`, `nan` as in `product_layout`.
    align : int
        Left shift that brings p's significand into the accumulator's frame.
    result : StructLayout
        Of o: as `ACC_LAYOUT`, but for the shape of `exp`: finite sums are rounded as if exponents
        had no bounds.

    Members
    -------
    p : In(addend)
    c : In(ACC_LAYOUT)
    fresh : In(1)
    o : Out(result)
        Combinational from the last pipeline register.

    Latency 3 cycles, one sum per cycle.
    """

    latency = 3

    def __init__(self, *, addend: StructLayout, align: int, result: StructLayout):
        self._align_by = align
        # Bits kept below the last place, besides a sticky bit. p has up to one redundant sign bit.
        # Where it is ahead by an exponent gap of 4 or more, the sum keeps at least 21 bits of
        # magnitude below its 24, so two places are lost to normalising and the third is the
        # rounding bit; smaller gaps lose nothing. Where the accumulator is ahead, two suffice. But
        # aligning p first drops up to three bits unseen, of which `align` and all but one here
        # are zeros.
        self._guard = max(3, 4 - align)
        self._bits = ACC_LAYOUT["mant"].width + self._guard
        super().__init__({"p": In(addend), "c": In(ACC_LAYOUT), "fresh": In(1), "o": Out(result)})

    def elaborate(self, platform):
        m = Module()
        self._pipeline_exponent_and_flags(m)
        self._align(m)
        self._add(m)
        self._normalise_by_eights(m)
        self._normalise_and_round(m)
        return m

    def _pipeline_exponent_and_flags(self, m):
        """Carry the larger exponent and what overrides the sum beside stages 1 to 3.

        These registers have a reset only so that synthesis does not turn the chain into
        shift-register LUTs; registers with a data-driven clear must not have one.
        """
        exp_bits = max(len(self.p.exp), len(self.c.exp))
        exp = signed(exp_bits + 1) if self.p.exp.shape().signed else exp_bits
        side = StructLayout({"exp": exp, "special": 1, "sign": 1, "nan": 1})
        self._side = [Signal(side, name=f"side_{stage}") for stage in range(1, 3)]
        self._flags = Signal(StructLayout({"special": 1, "sign": 1, "nan": 1}))
        self._exp = Signal(exp, reset_less=True)
        for to, of in zip(self._side[1:], self._side[:-1], strict=True):
            m.d.sync += to.eq(of)
        m.d.sync += [self._flags[k].eq(self._side[-1][k]) for k in ("special", "sign", "nan")]

    def _align(self, m):
        """Stage 1: order the two terms by exponent; start shifting the smaller one right."""
        p, acc, fresh, guard = self.p, self.c, self.fresh, self._guard
        diff = Signal(signed(max(len(acc.exp), len(p.exp)) + 1))
        behind = Signal()
        # The least exponent is 0, but -256 where products have negative ones.
        sign = fresh & p.exp.shape().signed
        acc_exp = Cat(acc.exp & ~fresh.replicate(len(acc.exp)), sign).as_signed()
        m.d.comb += [diff.eq(p.exp - acc_exp), behind.eq(diff[-1])]

        # With the product behind the shift is -diff = ~diff + 1: the extra one is wired in.
        product = p.mant << self._align_by
        distance = diff[:-1] ^ behind.replicate(len(diff) - 1)
        shift = Signal(5)
        small = Signal(signed(self._bits))
        m.d.comb += [
            shift.eq(distance[:5] | distance[5:].any().replicate(5)),
            small.eq(Mux(behind, product << (guard - 1), acc.mant << guard)),
        ]
        self._big = Signal(ACC_LAYOUT["mant"].shape, reset_less=True)
        self._small = Signal(signed(self._bits), reset_less=True)
        self._shift = Signal(3, reset_less=True)
        m.d.sync += [
            self._big.eq(Mux(behind, acc.mant, product)),
            self._small.eq(small >> shift[:2]),
            # Up to 3 places: the low bits are zero, so nothing is lost yet.
            self._shift.eq(shift[2:]),
        ]
        with m.If(fresh):
            m.d.sync += self._small.eq(0)

        side = self._side[0]
        m.d.sync += [
            side.exp.eq(Mux(behind, acc.exp, p.exp) + 1),
            side.special.eq((acc.inf & ~fresh) | p.inf),
            side.sign.eq(Mux(p.inf, p.sign, acc.mant[-1])),
            side.nan.eq(p.nan | (~fresh & (acc.nan | (acc.inf & p.inf & (acc.mant[-1] ^ p.sign))))),
        ]

    def _add(self, m):
        """Stage 2: finish the shift, keeping what falls off as one sticky bit, and add."""
        shift, small = self._shift, self._small
        by_8 = Signal(signed(self._bits))
        m.d.comb += by_8.eq(small >> (shift[1:] << 3))
        lost = (
            (small[:8].any() & shift[1:].any())
            | (small[8:16].any() & shift[2])
            | (small[16:24].any() & shift[1:].all())
            | (by_8[:4].any() & shift[0])
        )
        self._sum = Signal(signed(self._bits), reset_less=True)
        self._sticky = Signal(2)  # stages 2 and 3
        m.d.sync += [
            self._sum.eq(Mux(shift[0], by_8 >> 4, by_8) + (self._big << self._guard)),
            self._sticky.eq(Cat(lost, self._sticky)),
        ]

    def _normalise_by_eights(self, m):
        """Stage 3: shift left by 0, 8, 16 or 24 places; fewer than 8 redundant sign bits stay.

        Ends with a look at the next step: of the bits left, are the first 3 alike, the first 5,
        the fifth to seventh?
        """
        total, top = self._sum, self._bits - 1

        def redundant(high, low):
            return _all_equal(total[top - high : top - low + 1])

        eight = redundant(5, 0) & redundant(8, 5)
        sixteen = eight & redundant(13, 8) & redundant(16, 13)
        all_but_five = sixteen & redundant(21, 16) & redundant(24, 21)
        eights, zero = Signal(2), Signal()
        coarse = Signal(signed(self._bits))
        m.d.comb += [
            eights.eq(Cat((eight & ~sixteen) | all_but_five, sixteen)),
            zero.eq(all_but_five & ~total[: top - 23].any()),
            coarse.eq(total << (eights << 3)),
        ]
        self._coarse = Signal(signed(self._bits), reset_less=True)
        self._eights = Signal(2, reset_less=True)
        alike = StructLayout({"two": 1, "four": 1, "next_two": 1})
        self._alike = Signal(alike, reset_less=True)
        m.d.sync += [
            self._coarse.eq(coarse),
            self._exp.eq(self._side[-1].exp),
            self._eights.eq(eights),
            self._alike.two.eq(_all_equal(coarse[top - 2 :])),
            self._alike.four.eq(_all_equal(coarse[top - 4 :])),
            self._alike.next_two.eq(_all_equal(coarse[top - 6 : top - 3])),
        ]
        with m.If(zero):
            # Rounding takes one more place off a zero: 1 here makes its exponent 0.
            m.d.sync += [self._exp.eq(1), self._eights.eq(0), self._alike.eq(0)]

    def _normalise_and_round(self, m):
        """Shift left by 0 to 7 places, round to nearest even, finish the exponent."""
        alike, guard, top = self._alike, self._guard, self._bits - 1
        twos = Signal(2)
        fine = Signal(signed(self._bits))
        last = Signal()
        places = Signal(self._bits)
        up = Signal()
        m.d.comb += [
            twos.eq(Cat(Mux(alike.four, alike.next_two, alike.two), alike.four)),
            fine.eq(self._coarse << (twos << 1)),
            last.eq(fine[top] == fine[top - 1]),
            places.eq(Mux(last, fine << 1, fine)),
            up.eq(places[guard] & (places[guard + 1] | places[:guard].any() | self._sticky[-1])),
        ]
        exp = Signal(self._exp.shape())
        mant = Signal(ACC_LAYOUT["mant"].shape)
        m.d.comb += [
            exp.eq(self._exp - Cat(last, twos, self._eights)),
            mant.eq(places[guard + 1 :].as_signed() + up),
        ]
        o, flags = self.o, self._flags
        m.d.comb += [
            o.mant.eq(Cat(mant[:-1], Mux(flags.special, flags.sign, mant[-1]))),
            o.exp.eq(exp),
            o.inf.eq(flags.special),
            o.nan.eq(flags.nan),
        ]
        bits = places[guard + 1 : -1]
        self._limit(m, exp, Mux(places[-1], ~(bits.any() | up), bits.all() & up))

    def _limit(self, m, exp, doubled):
        """Where `exp`, before it is cut to `o.exp`, needs more than that.

        Where `doubled`, |mant| is 2**24: the next power of two. (Told from what goes into the last
        addition, so as not to wait for it.)
        """


def _all_equal(bits):
    return bits.all() | ~bits.any()
