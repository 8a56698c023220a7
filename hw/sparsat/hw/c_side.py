"""The C scratchpad: a bank for each column and half; sums that leave the array, or come back."""

from collections.abc import Callable

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sparsat.hw.c_walk import CWalk
from sparsat.hw.config import SATConfig
from sparsat.hw.exec_sequencer import tell, told_ports
from sparsat.hw.fifo import Queue
from sparsat.hw.isa.site import half_rows_c
from sparsat.hw.later import later
from sparsat.hw.parts import Parts

AHEAD = 16
"""Initial sums that are read before the array takes them, at most."""


def place_layout(config: SATConfig) -> StructLayout:
    """A row of a half of C, to read or to write if `valid`."""
    return StructLayout({"valid": 1, "half": 1, "row": range(half_rows_c(config))})


class CColumn(wiring.Component):
    """One column's two banks, and the sums read ahead of the array.

    Parameters
    ----------
    config : SATConfig

    Members
    -------
    write, read : In(place_layout)
        Where `o` goes; a sum for the array. To the next column one cycle later as `..._out`.
    o : In(32)
    take : In(1)
        The array takes `c`.
    c : Out(32)
    store : In(place_layout), stored : Out(32)
        A row for STORE, from a half of which the array reads nothing; the sum in the next cycle.
    late : Out(1)
        The array takes what is not there.
    """

    def __init__(self, *, config: SATConfig):
        self.config = config
        place = place_layout(config)
        super().__init__(
            {
                "write": In(place),
                "write_out": Out(place),
                "read": In(place),
                "read_out": Out(place),
                "o": In(32),
                "take": In(1),
                "c": Out(32),
                "store": In(place),
                "stored": Out(32),
                "late": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.d.sync += [self.write_out.eq(self.write), self.read_out.eq(self.read)]
        data = []
        for half in range(2):
            bank = Memory(shape=32, depth=half_rows_c(self.config), init=[])
            m.submodules[f"half_{half}"] = bank
            write, read = bank.write_port(), bank.read_port()
            m.d.comb += [
                write.en.eq(self.write.valid & (self.write.half == half)),
                write.addr.eq(self.write.row),
                write.data.eq(self.o),
                read.en.eq(1),
                read.addr.eq(
                    Mux(self.store.valid & (self.store.half == half), self.store.row, self.read.row)
                ),
            ]
            data.append(read.data)
        stored, half = later(m, self.store.half), later(m, self.read.half)
        m.d.comb += self.stored.eq(Mux(stored, data[1], data[0]))
        initial = later(m, Mux(half, data[1], data[0]))
        m.submodules.sums = sums = Queue(shape=32, depth=AHEAD)
        m.d.comb += [
            sums.i.valid.eq(later(m, self.read.valid, 2)),
            sums.i.payload.eq(initial),
            sums.o.ready.eq(self.take),
            self.c.eq(sums.o.payload),
            self.late.eq(self.take & ~sums.o.valid),
        ]
        return m


def part_makers(config: SATConfig) -> dict[str, Callable[[], wiring.Component]]:
    """What is repeated, by Verilog module name."""
    return {"c_column": lambda: CColumn(config=config)}


class CSide(wiring.Component):
    """All columns, and the walkers that say where their sums go and come from.

    Parameters
    ----------
    config : SATConfig
    parts : Parts

    Members
    -------
    decoded, x, chunk_valid, chunk : In
        Those of `ExecSequencer`.
    opened : In(1)
        The array takes an operation: all sums of those before it are written.
    o_{c} : In(32), o_valid_{c} : In(1), c_{c} : Out(32), c_ready_{c} : In(1)
        See `STCE`.
    store : In(place_layout), stored : Out(32 * cols)
        A row for STORE, in the next cycle.
    late, outside : Out(1)
        A column lacked a sum; an address does not lie in the half.
    """

    def __init__(self, *, config: SATConfig, parts: Parts):
        self.config, self.parts = config, parts
        ports = {
            **told_ports(),
            "opened": In(1),
            "store": In(place_layout(config)),
            "stored": Out(32 * config.cols),
            "late": Out(1),
            "outside": Out(1),
        }
        for c in range(config.cols):
            ports |= {f"o_{c}": In(32), f"o_valid_{c}": In(1)}
            ports |= {f"c_{c}": Out(32), f"c_ready_{c}": In(1)}
        super().__init__(ports)

    def elaborate(self, platform):
        m = Module()
        m.submodules.results = results = CWalk(config=self.config, ahead=False)
        m.submodules.initial = initial = CWalk(config=self.config, ahead=True)
        tell(m, self, results, initial)
        late = [self.o_valid_0 & ~results.o.valid]
        write, read = (Signal(place_layout(self.config), name=n) for n in ("write", "read"))
        place = results.o.payload
        m.d.comb += [
            results.o.ready.eq(self.o_valid_0),
            write.valid.eq(self.o_valid_0 & place.kept),
            write.half.eq(place.half),
            write.row.eq(place.row),
        ]
        self._initial(m, initial, read)
        stored = []
        write, read = write.as_value(), read.as_value()
        for c in range(self.config.cols):
            column = self.parts.place(m, "c_column", f"column_{c}")
            m.d.comb += [
                column.write.eq(write),
                column.read.eq(read),
                column.o.eq(getattr(self, f"o_{c}")),
                column.take.eq(getattr(self, f"c_ready_{c}")),
                getattr(self, f"c_{c}").eq(column.c),
                column.store.eq(self.store.as_value()),
            ]
            write, read = column.write_out, column.read_out
            stored.append(column.stored)
            late.append(column.late)
        m.d.comb += self.stored.eq(Cat(stored))
        m.d.sync += [self.late.eq(Cat(late).any()), self.outside.eq(results.outside)]
        return m

    def _initial(self, m, walk, read):
        """Read initial sums ahead, none before it has been written."""
        sum_ = walk.o.payload
        opened = Signal(range(8))  # operations taken whose sums have not begun
        back = Signal(25)  # sums of the operation that are written and not read again
        ahead, go, reads = Signal(range(AHEAD + 1)), Signal(), Signal()
        m.d.comb += [
            go.eq(
                walk.o.valid
                & (~sum_.opens | (opened != 0))
                & (~sum_.resumed | (ahead != AHEAD))
                & (~(sum_.resumed & sum_.follows) | (back != 0))
            ),
            walk.o.ready.eq(go),
            reads.eq(go & sum_.resumed),
        ]
        m.d.sync += [
            opened.eq(opened + self.opened - (go & sum_.opens)),
            ahead.eq(ahead + reads - self.c_ready_0),
            back.eq(back + self.o_valid_0 - (reads & sum_.follows)),
            read.valid.eq(reads),
            read.half.eq(sum_.half),
            read.row.eq(sum_.row),
        ]
        with m.If(self.opened):
            m.d.sync += back.eq(0)
