"""One lane of SORE: which N of M values are the largest, and these one after another."""

from itertools import combinations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sparsat.hw.config import SATConfig


def lane_control(config: SATConfig) -> StructLayout:
    """One cycle's orders, the same for all lanes.

    advance
        Values go on from the input to stage 1, and from there to stage 2.
    judge
        Stage 1: compare the value with the candidates. These are the smallest values if `drop`
        (those that are dropped), else the largest (those that are kept). They stand in the places
        `filled`; until that is `full`, the value gets the place `fill` (one bit for each place).
    remember
        Stage 2: the value is number `position` of its group. If it became a candidate it
        `replaces` another. It is stored; `half` and `column` are the rest of its address.
    load
        The masks are complete. Their group has the positions `inside` (one bit for each), its
        candidates are `dropped`.
    send
        The next kept value, of this `half` and `column`, goes out.
    """
    places = config.m_max // 2
    address = {"column": (columns_per_lane(config) - 1).bit_length(), "half": 1}
    judge = {"valid": 1, "fill": places, "filled": places, "full": 1, "drop": 1}
    remember = {"valid": 1, "position": config.index_bits, "replaces": 1}
    return StructLayout(
        {
            "advance": 1,
            "judge": StructLayout(judge),
            "remember": StructLayout(remember | address),
            **{"load": 1, "inside": config.m_max, "dropped": 1},
            "send": StructLayout({"valid": 1} | address),
        }
    )


def columns_per_lane(config: SATConfig) -> int:
    """Columns that one lane serves in turn."""
    return config.cols // config.sore_lanes


class SORELane(wiring.Component):
    """Finds the N largest magnitudes of a group as its values pass, for some columns in turn.

    It holds as candidates the largest min(N, M - N) values so far, or the smallest where that is
    fewer. They do not move: besides their keys there is one bit for each two of them that says
    which is stronger, so the weakest is the one that all others beat, and a stronger value
    takes its place. A mask of the group remembers who is a candidate; the values themselves wait
    in a memory until the mask is complete, and leave in its order while the next group comes.

    The state of one column goes round through as many registers as there are columns.

    Parameters
    ----------
    config : SATConfig
    marks : bool
        It tells of all values, in order, whether they are kept, and does not give them back.

    Members
    -------
    ctl : In(lane_control(config))
    i : In(fmt.width)
    value : Out(fmt.width), index : Out(index_bits)
        Registered with `send`.
    kept : Out(1)
        The same, in place of them with `marks`.
    """

    def __init__(self, *, config: SATConfig, marks: bool = False):
        self.config, self._marks = config, marks
        width = config.fmt.width
        out = {"kept": 1} if marks else {"value": width, "index": config.index_bits}
        super().__init__(
            {
                "ctl": In(lane_control(config)),
                "i": In(width),
                **{name: Out(bits) for name, bits in out.items()},
            }
        )

    def elaborate(self, platform):
        m = Module()
        self._enter(m)
        self._judge(m)
        members = self._remember(m)
        left = [Signal(len(mask), name=f"left_{n}") for n, mask in enumerate(members)]
        if self._marks:
            rest = left[-1] >> 1
            with m.If(self.ctl.send.valid):
                m.d.sync += self.kept.eq(left[-1][0])
        else:
            rest = left[-1] & (left[-1] - 1)
            self._send(m, left[-1])
        with m.If(self.ctl.send.valid):
            m.d.sync += [to.eq(of) for to, of in zip(left, [rest, *left[:-1]], strict=True)]
        with m.If(self.ctl.load):
            dropped = self.ctl.dropped.replicate(self.config.m_max)
            kept = [(mask ^ dropped) & self.ctl.inside for mask in members]
            m.d.sync += [to.eq(of) for to, of in zip(left, kept, strict=True)]
        return m

    def _enter(self, m):
        """To stage 1: the value's magnitude as a key; all NaN are one, above infinity."""
        fmt, i = self.config.fmt, self.i
        self._key = Signal(fmt.width - 1, reset_less=True)
        value = Signal(fmt.width, reset_less=True)
        self._value = Signal(fmt.width, reset_less=True)  # stage 2
        with m.If(self.ctl.advance):
            m.d.sync += [self._key.eq(i[:-1]), value.eq(i), self._value.eq(value)]
            with m.If(i[fmt.frac_bits : -1].all() & i[: fmt.frac_bits].any()):
                m.d.sync += self._key.eq(-1)

    def _held(self, m, enable, shape, name):
        """State of each column: now and after the one whose turn it is, and of all, last first."""
        columns = range(columns_per_lane(self.config))
        registers = [Signal(shape, name=f"{name}_{c}", reset_less=True) for c in columns]
        after = Signal(shape, name=f"{name}_after")
        m.d.comb += after.eq(registers[-1])
        with m.If(enable):
            m.d.sync += [
                to.eq(of) for to, of in zip(registers, [after, *registers[:-1]], strict=True)
            ]
        return registers[-1], after, registers

    def _judge(self, m):
        """Stage 1: does the value beat the weakest candidate? Then it takes its place."""
        ctl, key = self.ctl.judge, self._key
        places = range(len(ctl.fill))
        keys = [self._held(m, ctl.valid, len(key), f"key_{s}") for s in places]
        wins = {
            (s, t): self._held(m, ctl.valid, 1, f"wins_{s}_{t}")  # s against t
            for s, t in combinations(places, 2)
        }
        # An empty place beats all: so nothing displaces it, it is only filled.
        beats, weakest, write = (Signal(len(places), name=n) for n in ("beats", "weakest", "write"))
        for s, (held, after, _) in enumerate(keys):
            losses = [wins[t, s][0] for t in range(s)] + [~wins[s, t][0] for t in places[s + 1 :]]
            m.d.comb += [
                beats[s].eq(ctl.filled[s] & ((key > held) ^ ctl.drop)),
                weakest[s].eq(Cat(losses).all()),
                write[s].eq(ctl.fill[s] | (ctl.full & weakest[s] & beats[s])),
            ]
            with m.If(write[s]):
                m.d.comb += after.eq(key)
        for (s, t), (_, after, _) in wins.items():
            with m.If(write[s]):
                m.d.comb += after.eq(beats[t])
            with m.Elif(write[t]):
                m.d.comb += after.eq(~beats[s])
        self._wrote = Signal(len(places), reset_less=True)
        with m.If(self.ctl.advance):
            m.d.sync += self._wrote.eq(write)

    def _remember(self, m):
        """Stage 2: the masks of candidates. A new one comes; if it took a place, one goes."""
        ctl, gone = self.ctl.remember, 0
        for place, wrote in enumerate(self._wrote):
            shape = ctl.position.shape()
            now, after, _ = self._held(m, ctl.valid, shape, f"position_{place}")
            gone |= now & wrote.replicate(len(now))
            with m.If(wrote):
                m.d.comb += after.eq(ctl.position)
        member, after, members = self._held(m, ctl.valid, self.config.m_max, "member")
        entered = self._wrote.any()
        for k in range(self.config.m_max):
            left = ctl.replaces & entered & (gone == k)
            m.d.comb += after[k].eq(Mux(ctl.position == k, entered, member[k] & ~left))
        return members

    def _send(self, m, left):
        """The values of a finished mask, of which the lowest bits have been cut off."""
        ctl, value = self.ctl, self._value
        turn = Cat(ctl.remember.column, ctl.remember.half)
        m.submodules.values = values = Memory(
            shape=len(value), depth=self.config.m_max << len(turn), init=[]
        )
        store, load = values.write_port(), values.read_port(domain="comb")
        index = Signal.like(self.index)
        m.d.comb += [
            index.eq(self._lowest(m, left)),
            store.en.eq(ctl.remember.valid),
            store.addr.eq(Cat(ctl.remember.position, turn)),
            store.data.eq(value),
            load.addr.eq(Cat(index, ctl.send.column, ctl.send.half)),
        ]
        with m.If(ctl.send.valid):
            m.d.sync += [self.value.eq(load.data), self.index.eq(index)]

    @staticmethod
    def _lowest(m, bits):
        """Index of the lowest bit that is set: first which four, then which of these."""
        fours = [bits[n : n + 4] for n in range(0, len(bits), 4)]
        four, chosen = Signal(range(len(fours))), Signal(4)
        m.d.comb += four.eq(_first([some.any() for some in fours]))
        m.d.comb += chosen.eq(bits.word_select(four, 4))
        return Cat(_first(chosen), four)


def _first(bits):
    """Number of the first bit that is set, the last one's if none before it is."""
    number = Const(len(bits) - 1, range(len(bits)))
    for n in reversed(range(len(bits) - 1)):
        number = Mux(bits[n], Const(n, range(len(bits))), number)
    return number
