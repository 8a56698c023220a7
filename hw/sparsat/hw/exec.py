"""EXEC: the array, its scratchpads, and who feeds it."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sparsat.hw import a_side, b_side, c_side, stce
from sparsat.hw.a_side import ASide
from sparsat.hw.b_side import BSide, write_layout
from sparsat.hw.c_side import CSide, place_layout
from sparsat.hw.config import SATConfig
from sparsat.hw.engine import engine_ports
from sparsat.hw.exec_sequencer import ExecSequencer, tell
from sparsat.hw.instruction import Error
from sparsat.hw.isa.instructions import Opcode
from sparsat.hw.load_walk import half_lines
from sparsat.hw.parts import Makers, Parts
from sparsat.hw.stce import STCE


def part_makers(config: SATConfig) -> Makers:
    """What is repeated, by Verilog module name."""
    makers: dict = {}
    for each in (stce, a_side, b_side, c_side):
        makers |= each.part_makers(config)
    return makers


class ExecEngine(wiring.Component):
    """Runs EXECs: `ExecSequencer` says when, the sides of A, B and C bring operands and take sums.

    It stops with the error FIELD at an instruction that the array cannot run, or whose operands do
    not come in time (`least_period` is too small), with RANGE where an address does not lie in the
    half.

    Parameters
    ----------
    config : SATConfig
    parts : Parts
        With `part_makers`.

    Members
    -------
    i, tokens, stop, started, ended, waits, idle, error, error_number
        Those of `ExecSequencer`.
    a_write, a_half, a_line, a_data : In
        A line from LOAD_A.
    values, indices : In(write_layout), values_data, indices_data : In(8 * line_bytes)
        Lines from LOAD_B.
    store : In(place_layout), stored : Out(32 * cols)
        A row for STORE, in the next cycle.
    """

    def __init__(self, *, config: SATConfig, parts: Parts):
        self.config, self.parts = config, parts
        super().__init__(
            {
                **engine_ports(Opcode.EXEC),
                "stop": In(1),
                "a_write": In(1),
                "a_half": In(1),
                "a_line": In(range(half_lines(config, Opcode.LOAD_A))),
                "a_data": In(8 * config.line_bytes),
                "values": In(write_layout(config, index=False)),
                "values_data": In(8 * config.line_bytes),
                "indices": In(write_layout(config, index=True)),
                "indices_data": In(8 * config.line_bytes),
                "store": In(place_layout(config)),
                "stored": Out(32 * config.cols),
                "waits": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, parts = self.config, self.parts
        m.submodules.sequencer = sequencer = ExecSequencer(config=config)
        m.submodules.stce = array = STCE(config=config, parts=parts)
        m.submodules.a_side = a = ASide(config=config, parts=parts)
        m.submodules.b_side = b = BSide(config=config, parts=parts)
        m.submodules.c_side = c = CSide(config=config, parts=parts)
        connect(m, flipped(self.i), sequencer.i)
        connect(m, sequencer.tokens, flipped(self.tokens))
        connect(m, sequencer.request, array.i)
        m.d.comb += [
            array.step_valid.eq(sequencer.step_valid),
            sequencer.step_ready.eq(array.step_ready),
            sequencer.stop.eq(self.stop),
            c.opened.eq(array.i.valid & array.i.ready),
            *(
                getattr(self, n).eq(getattr(sequencer, n))
                for n in ("started", "ended", "waits", "idle")
            ),
        ]
        tell(m, sequencer, a, b, c)
        for name in ("write", "half", "line", "data"):
            m.d.comb += getattr(a, name).eq(getattr(self, f"a_{name}"))
        for name in ("values", "values_data", "indices", "indices_data"):
            m.d.comb += getattr(b, name).eq(getattr(self, name))
        m.d.comb += [c.store.eq(self.store), self.stored.eq(c.stored)]
        self._links(m, array, a, b, c)
        self._errors(m, sequencer, a, b, c)
        return m

    def _links(self, m, array, a, b, c):
        for r in range(self.config.rows):
            m.d.comb += [
                getattr(array, f"a_{r}").eq(getattr(a, f"a_{r}")),
                getattr(a, f"a_ready_{r}").eq(getattr(array, f"a_ready_{r}")),
            ]
        for n in range(self.config.cols):
            for side, data, ready in ((b, "b", "b_ready"), (c, "c", "c_ready")):
                m.d.comb += [
                    getattr(array, f"{data}_{n}").eq(getattr(side, f"{data}_{n}")),
                    getattr(side, f"{ready}_{n}").eq(getattr(array, f"{ready}_{n}")),
                ]
            m.d.comb += [
                getattr(c, f"o_{n}").eq(getattr(array, f"o_{n}")),
                getattr(c, f"o_valid_{n}").eq(getattr(array, f"o_valid_{n}")),
            ]

    def _errors(self, m, sequencer, a, b, c):
        """The first error stays."""
        late, outside = a.late | b.late | c.late, a.outside | b.outside | c.outside
        found = Signal(Error)
        m.d.comb += [
            self.error_number.eq(sequencer.error_number),
            self.error.eq(Mux(found != Error.NONE, found, sequencer.error)),
        ]
        with m.If(found == Error.NONE):
            with m.If(outside):
                m.d.sync += found.eq(Error.RANGE)
            with m.Elif(late):
                m.d.sync += found.eq(Error.FIELD)
