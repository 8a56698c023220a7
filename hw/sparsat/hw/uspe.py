"""USPE, the unified sparse processing element: one cell of the array."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sparsat.hw.array_op import ACC_LOOP
from sparsat.hw.config import SATConfig
from sparsat.hw.float.accumulate import Accumulate
from sparsat.hw.float.layouts import ACC_LAYOUT, col_layout, row_layout
from sparsat.hw.float.multiply import Multiply

assert Accumulate.latency + 1 == ACC_LOOP  # the plain number serves the compiler


def row_link(config: SATConfig) -> StructLayout:
    """What moves right each cycle: `a_link` values of A, `v0` first.

    (Not an array: Yosys' abc9 confuses a wire named `a[0]` with bit 0 of `a`.)
    """
    return StructLayout({f"v{n}": row_layout(config.fmt) for n in range(config.a_link)})


def col_link(config: SATConfig) -> StructLayout:
    """What moves down each cycle: one value of B and its index within the group (0 if dense)."""
    return StructLayout({"value": col_layout(config.fmt), "index": config.index_bits})


def control_layout(config: SATConfig) -> StructLayout:
    """One cycle's orders to a cell, made at the head of its row, each for its own pipeline stage.

    `a_*`, `b_*` address the operand registers (both buffers), `w_*` the running sums, `x_*` the
    sums exchanged with the neighbours (two halves).
    """
    a = (2 * config.a_regs).bit_length() - 1
    b = (2 * config.b_regs).bit_length() - 1
    w = (config.depth - 1).bit_length()
    return StructLayout(
        {
            "a_we": 1,
            "a_waddr": a - (config.a_link - 1),
            "b_we": 1,
            "b_waddr": b,
            "b_raddr": b,  # stage 0
            "a_base": a,  # stage 1: address of the value, without B's index
            "fresh": 1,  # stage 3: the summand is zero …
            "from_x": 1,  # … or an exchanged sum, else a running one
            "w_raddr": w,
            "w_we": 1,  # stage 6
            "w_waddr": w,
            "x_raddr": w + 1,
            "x_we": 1,
            "x_waddr": w + 1,
            "south_x": 1,  # what goes south is an exchanged sum, else the new one
        }
    )


class USPE(wiring.Component):
    """One multiply-accumulate per cycle on operands it holds, N:M sparse or dense.

    The cell obeys the control word that passes through it and keeps no state of its own but its
    registers: A and B operands (double buffered, so that loading overlaps computing), the running
    sums of a micro-tile, and the exchange memory through which finished sums leave and initial
    ones arrive. In output-stationary use sums stay in `w` until they are final; in
    weight-stationary use they come from the north neighbour through `x` and leave south.

    Stage 0 reads B, 1 reads A at `a_base | index`, 2 multiplies, 3 reads the summand and begins to
    add, 6 ends and writes the sum.

    Parameters
    ----------
    config : SATConfig

    Members
    -------
    a, a_out : row_link(config), right
    b, b_out : col_link(config), down
    c, c_out : ACC_LAYOUT, down
    ctl, ctl_out : control_layout(config), right

    Each link takes one cycle per hop. A product enters a sum 3 cycles after `b_raddr`; the sum
    leaves south 3 cycles after that and can be read `ACC_LOOP` cycles after its last value was.
    """

    def __init__(self, *, config: SATConfig):
        self.config = config
        links = {
            "a": row_link(config),
            "b": col_link(config),
            "c": ACC_LAYOUT,
            "ctl": control_layout(config),
        }
        super().__init__(
            {name: In(shape) for name, shape in links.items()}
            | {f"{name}_out": Out(shape) for name, shape in links.items()}
        )

    def elaborate(self, platform):
        m = Module()
        config, ctl = self.config, self.ctl_out
        m.submodules.multiply = multiply = Multiply(fmt=config.fmt)
        m.submodules.accumulate = accumulate = Accumulate(fmt=config.fmt)
        m.submodules.a_file = a_file = Memory(
            shape=row_link(config), depth=2 * config.a_regs // config.a_link, init=[]
        )
        m.submodules.b_file = b_file = Memory(
            shape=col_link(config), depth=2 * config.b_regs, init=[]
        )
        m.submodules.w = w = Memory(shape=ACC_LAYOUT, depth=config.depth, init=[])
        m.submodules.x = x = Memory(shape=ACC_LAYOUT, depth=2 * config.depth, init=[])

        m.d.sync += [self.a_out.eq(self.a), self.b_out.eq(self.b), ctl.eq(self.ctl)]
        self._write(m, a_file, ctl.a_we, ctl.a_waddr, self.a_out)
        self._write(m, b_file, ctl.b_we, ctl.b_waddr, self.b_out)

        # Operands: B first, since its index says which value of A it meets.
        b_read = b_file.read_port(domain="comb")
        b_entry = Signal(col_link(config))
        m.d.comb += b_read.addr.eq(ctl.b_raddr)
        m.d.sync += b_entry.eq(b_read.data)
        a_addr = ctl.a_base | b_entry.index
        a_read = a_file.read_port(domain="comb")
        pick = len(a_addr) - len(a_read.addr)
        m.d.comb += a_read.addr.eq(a_addr[pick:])
        value = Mux(a_addr[0], a_read.data["v1"], a_read.data.v0) if pick else a_read.data.v0
        m.d.sync += [multiply.a.eq(value), multiply.b.eq(b_entry.value)]

        # Summand: no registers on the way, so that the loop through `w` is short.
        w_read, x_read = w.read_port(domain="comb"), x.read_port(domain="comb")
        m.d.comb += [w_read.addr.eq(ctl.w_raddr), x_read.addr.eq(ctl.x_raddr)]
        m.d.comb += [
            accumulate.p.eq(multiply.o),
            accumulate.c.eq(Mux(ctl.from_x, x_read.data.as_value(), w_read.data.as_value())),
            accumulate.fresh.eq(ctl.fresh),
        ]

        self._write(m, w, ctl.w_we, ctl.w_waddr, accumulate.o)
        self._write(m, x, ctl.x_we, ctl.x_waddr, self.c)
        m.d.sync += self.c_out.eq(Mux(ctl.south_x, x_read.data.as_value(), accumulate.o.as_value()))
        return m

    @staticmethod
    def _write(m, memory, enable, addr, data):
        port = memory.write_port()
        m.d.comb += [port.en.eq(enable), port.addr.eq(addr), port.data.eq(data)]
