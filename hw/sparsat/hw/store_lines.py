"""Rows of C put together to lines of memory."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from sparsat.hw.burst_words import line_layout
from sparsat.hw.bursts import WRITE
from sparsat.hw.config import SATConfig
from sparsat.hw.float.pack import Narrow
from sparsat.hw.store_walk import unit_bytes
from sparsat.hw.timing import BURST, ROOM

READ = 1
"""Cycles from the address of a row of C to its values."""
LINES = ROOM * BURST + 2 * WRITE
"""Lines that may wait: those of `ROOM` bursts, and those still to be taken of the one before."""


def place_layout(config: SATConfig) -> StructLayout:
    """Where a row goes within its line: the `unit` (an FP16 row), two of them if it is `wide`;
    whether it `begins` a line, whether it `ends` one."""
    units = config.line_bytes // unit_bytes(config)
    return StructLayout({"unit": range(units), "wide": 1, "begins": 1, "ends": 1})


class StoreLines(wiring.Component):
    """Rounds rows to FP16, or leaves them as they are, and collects them to lines.

    A line is there `WRITE` + 1 cycles after its last row is read, at the latest: its burst begins a
    cycle after that read, or later. Rows may only be read where there is `room`.

    Parameters
    ----------
    config : SATConfig

    Members
    -------
    valid : In(1), place : In(place_layout)
        A row is read in this cycle, ...
    values : In(32 * cols)
        ... and here are its values, `READ` cycles later.
    o : Out(stream of line_layout)
    room : Out(1)
        Fewer than `LINES` lines, with those still on their way, wait to be taken. From a register:
        two more may have been read since.
    """

    def __init__(self, *, config: SATConfig):
        self.config = config
        super().__init__(
            {
                "valid": In(1),
                "place": In(place_layout(config)),
                "values": In(32 * config.cols),
                "o": Out(stream.Signature(line_layout(config))),
                "room": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        narrow = []
        for col in range(self.config.cols):
            m.submodules[f"narrow_{col}"] = unit = Narrow(fmt=self.config.fmt)
            m.d.comb += unit.i.eq(self.values.word_select(col, 32))
            narrow.append(unit.o)
        wide = self.values
        for _ in range(Narrow.latency):
            wide = _registered(m, wide)
        row = Cat(self.valid, self.place)
        for _ in range(READ + Narrow.latency):
            row = _registered(m, row)
        waiting = Signal(range(LINES + 1))
        begun, taken = self.valid & self.place.ends, self.o.valid & self.o.ready
        m.d.sync += [waiting.eq(waiting + begun - taken), self.room.eq(waiting < LINES - 2)]
        self._collect(m, row[0], place_layout(self.config)(row[1:]), Cat(narrow), wide)
        return m

    def _collect(self, m, valid, place, narrow, wide):
        """Put a row into the line, and the line into the queue when it ends."""
        size = unit_bytes(self.config)
        units = self.config.line_bytes // size
        data = Signal(ArrayLayout(8 * size, units))
        there, complete = Signal(units), Signal()
        here = Signal(units)
        m.d.comb += here.eq(Mux(place.wide, 0b11, 0b01) << place.unit)
        for unit in range(units):
            half = wide.word_select(unit % 2, 8 * size)
            with m.If(valid & here[unit]):
                m.d.sync += data[unit].eq(Mux(place.wide, half, narrow))
        m.d.sync += complete.eq(valid & place.ends)
        with m.If(valid):
            m.d.sync += there.eq(here | Mux(place.begins, 0, there))

        layout = line_layout(self.config)
        m.submodules.lines = lines = SyncFIFOBuffered(width=layout.size, depth=LINES)
        strobe = Cat(each.replicate(size) for each in there)
        m.d.comb += [
            lines.w_data.eq(Cat(data, strobe)),
            lines.w_en.eq(complete),
            self.o.payload.eq(layout(lines.r_data)),
            self.o.valid.eq(lines.r_rdy),
            lines.r_en.eq(self.o.ready),
        ]


def _registered(m, value):
    register = Signal(len(value))
    m.d.sync += register.eq(value)
    return register
