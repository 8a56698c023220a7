"""STCE, the compute array: a grid of USPEs with what feeds and empties it."""

from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import In, Out, connect, flipped

from sparsat.hw.conductor import Conductor, request_layout
from sparsat.hw.config import SATConfig
from sparsat.hw.float.pack import LoadAccumulator, StoreAccumulator
from sparsat.hw.float.unpack import ToCol, ToRow
from sparsat.hw.row_head import RowHead
from sparsat.hw.uspe import USPE, cell_signature


def col_word(config: SATConfig) -> StructLayout:
    """What a column takes: a value of B and its index within the group (0 where n = m)."""
    return StructLayout({"value": config.fmt.width, "index": config.index_bits})


class STCE(wiring.Component):
    """`rows` × `cols` cells that run `ArrayOp`s.

    Parameters
    ----------
    config : SATConfig
    instances : bool
        Place the cells as instances of a Verilog module `uspe`, emitted once, rather than as
        Amaranth components: a large array then converts in seconds.

    Members
    -------
    i : In(stream of request_layout)
        Operations.
    step_valid : In(1), step_ready : Out(1)
        The operands of one more slot are at hand.
    a_{r} : In(fmt.width * a_link), a_ready_{r} : Out(1)
        Values of A of row r, taken in the cycle in which `a_ready_{r}` is high.
    b_{c} : In(col_word), b_ready_{c} : Out(1)
        Values of B of column c, likewise.
    c_{c} : In(32), c_ready_{c} : Out(1)
        Initial sums of column c, binary32, likewise.
    o_{c} : Out(32), o_valid_{c} : Out(1)
        Sums of column c, binary32. Output-stationary, those of the last row come first.
    busy : Out(1)

    Nothing stalls inside: what `ready` asks for must be there. Cycles are `timing.array_cycles`.
    """

    def __init__(self, *, config: SATConfig, instances: bool = False):
        self.config, self.instances = config, instances
        ports = {
            "i": In(stream.Signature(request_layout(config))),
            "step_valid": In(1),
            "step_ready": Out(1),
            "busy": Out(1),
        }
        for r in range(config.rows):
            ports |= {f"a_{r}": In(config.fmt.width * config.a_link), f"a_ready_{r}": Out(1)}
        for c in range(config.cols):
            ports |= {
                f"b_{c}": In(col_word(config)),
                f"b_ready_{c}": Out(1),
                f"c_{c}": In(32),
                f"c_ready_{c}": Out(1),
                f"o_{c}": Out(32),
                f"o_valid_{c}": Out(1),
            }
        super().__init__(ports)

    def elaborate(self, platform):
        m = Module()
        m.submodules.conductor = conductor = Conductor(config=self.config)
        connect(m, flipped(self.i), conductor.i)
        m.d.comb += [
            conductor.step_valid.eq(self.step_valid),
            self.step_ready.eq(conductor.step_ready),
            self.busy.eq(conductor.busy),
        ]
        heads = self._heads(m, conductor)
        cells = self._cells(m)
        self._rows(m, heads, cells)
        self._columns(m, conductor, heads, cells)
        return m

    def _heads(self, m, conductor):
        heads = []
        for r in range(self.config.rows):
            m.submodules[f"head_{r}"] = head = RowHead(config=self.config, top=r == 0)
            above = heads[-1] if heads else None
            m.d.comb += [
                head.op.eq(conductor.op),
                head.slot.eq(above.slot_out if above else conductor.slot),
                head.slot_valid.eq(above.slot_out_valid if above else conductor.slot_valid),
            ]
            if above:
                m.d.comb += head.north.eq(above.south)
            heads.append(head)
        m.d.comb += conductor.done.eq(heads[-1].done)
        return heads

    def _cells(self, m):
        config = self.config
        cells = [[self._cell(m, r, c) for c in range(config.cols)] for r in range(config.rows)]
        for r in range(config.rows):
            for c in range(config.cols):
                cell = cells[r][c]
                if c:
                    west = cells[r][c - 1]
                    m.d.comb += [cell.a.eq(west.a_out), cell.ctl.eq(west.ctl_out)]
                if r:
                    north = cells[r - 1][c]
                    m.d.comb += [cell.b.eq(north.b_out), cell.c.eq(north.c_out)]
        return cells

    def _cell(self, m, r, c):
        name = f"cell_{r}_{c}"
        if not self.instances:
            m.submodules[name] = cell = USPE(config=self.config)
            return cell
        signature = cell_signature(self.config)
        cell = signature.create(path=(name,))
        ports = {
            f"{'i' if member.flow is In else 'o'}_{port}": getattr(cell, port)
            for port, member in signature.members.items()
        }
        m.submodules[name] = Instance("uspe", i_clk=ClockSignal(), i_rst=ResetSignal(), **ports)
        return cell

    def _rows(self, m, heads, cells):
        config = self.config
        for r, (head, row) in enumerate(zip(heads, cells, strict=True)):
            m.d.comb += [row[0].ctl.eq(head.ctl), getattr(self, f"a_ready_{r}").eq(head.a_ready)]
            words = getattr(self, f"a_{r}")
            for v in range(config.a_link):
                m.submodules[f"to_row_{r}_{v}"] = to_row = ToRow(fmt=config.fmt)
                m.d.comb += [
                    to_row.i.eq(words.word_select(v, config.fmt.width)),
                    row[0].a[f"v{v}"].eq(to_row.o),
                ]

    def _columns(self, m, conductor, heads, cells):
        """Requests and validity go right one column per cycle, as the control words do."""
        config = self.config
        b_ready, c_ready = conductor.b_ready, heads[0].c_ready
        o_valid = heads[-1].south.valid & heads[-1].south.out
        for _ in range(2 + StoreAccumulator.latency):
            o_valid = self._later(m, o_valid)
        for c in range(config.cols):
            m.d.comb += [
                getattr(self, f"b_ready_{c}").eq(b_ready),
                getattr(self, f"c_ready_{c}").eq(c_ready),
                getattr(self, f"o_valid_{c}").eq(o_valid),
            ]
            self._column(m, c, cells[0][c], cells[-1][c])
            b_ready, c_ready, o_valid = (self._later(m, s) for s in (b_ready, c_ready, o_valid))

    def _column(self, m, c, top, bottom):
        m.submodules[f"to_col_{c}"] = to_col = ToCol(fmt=self.config.fmt)
        m.submodules[f"load_{c}"] = load = LoadAccumulator()
        m.submodules[f"store_{c}"] = store = StoreAccumulator()
        word = getattr(self, f"b_{c}")
        index = word.index
        for _ in range(ToCol.latency):
            index = self._later(m, index)
        m.d.comb += [
            to_col.i.eq(word.value),
            top.b.value.eq(to_col.o),
            top.b.index.eq(index),
            load.i.eq(getattr(self, f"c_{c}")),
            top.c.eq(load.o),
            store.i.eq(bottom.c_out),
            getattr(self, f"o_{c}").eq(store.o),
        ]

    @staticmethod
    def _later(m, value):
        later = Signal.like(value)
        m.d.sync += later.eq(value)
        return later
