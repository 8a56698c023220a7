"""STCE, the compute array: a grid of USPEs with what feeds and empties it."""

from collections.abc import Callable
from types import SimpleNamespace

from amaranth.hdl import Module, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sparsat.hw.conductor import Conductor
from sparsat.hw.config import SATConfig
from sparsat.hw.edges import SEND_TO_PACKED, ColTop, RowEdge, col_word
from sparsat.hw.float.pack import StoreAccumulator
from sparsat.hw.later import later
from sparsat.hw.parts import Parts
from sparsat.hw.request import request_layout
from sparsat.hw.uspe import USPE


def part_makers(config: SATConfig) -> dict[str, Callable[[], wiring.Component]]:
    """What the array repeats, by Verilog module name."""
    return {
        "uspe": lambda: USPE(config=config),
        "row_edge_top": lambda: RowEdge(config=config, top=True),
        "row_edge": lambda: RowEdge(config=config, top=False),
        "col_top": lambda: ColTop(config=config),
        "col_bottom": StoreAccumulator,
    }


def stce_ports(config: SATConfig) -> dict[str, wiring.Member]:
    """Ports of the array by name, see `STCE`."""
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
            f"b_{c}": In(col_word(config).size),
            f"b_ready_{c}": Out(1),
            f"c_{c}": In(32),
            f"c_ready_{c}": Out(1),
            f"o_{c}": Out(32),
            f"o_valid_{c}": Out(1),
        }
    return ports


class STCE(wiring.Component):
    """`rows` × `cols` cells that run `ArrayOp`s.

    Parameters
    ----------
    config : SATConfig
    parts : Parts, optional
        With `part_makers`; without, all cells are Amaranth components.

    Members
    -------
    i : In(stream of request_layout)
        Operations.
    step_valid : In(1), step_ready : Out(1)
        The operands of one more slot are at hand.
    a_{r} : In(fmt.width * a_link), a_ready_{r} : Out(1)
        Values of A of row r, taken in the cycle in which `a_ready_{r}` is high.
    b_{c} : In(width of col_word), b_ready_{c} : Out(1)
        Values of B of column c, likewise.
    c_{c} : In(32), c_ready_{c} : Out(1)
        Initial sums of column c, binary32, likewise.
    o_{c} : Out(32), o_valid_{c} : Out(1)
        Sums of column c, binary32. Output-stationary, those of the last row come first.
    busy : Out(1)

    Nothing stalls inside: what `ready` asks for must be there. Cycles are `timing.array_cycles`.
    """

    def __init__(self, *, config: SATConfig, parts: Parts | None = None):
        self.config = config
        self.parts = parts or Parts(part_makers(config), once=False)
        super().__init__(stce_ports(config))

    def elaborate(self, platform):
        m = Module()
        m.submodules.conductor = conductor = Conductor(config=self.config)
        connect(m, flipped(self.i), conductor.i)
        m.d.comb += [
            conductor.step_valid.eq(self.step_valid),
            self.step_ready.eq(conductor.step_ready),
            self.busy.eq(conductor.busy),
        ]
        edges = self._rows(m, conductor)
        cells = self._cells(m)
        self._columns(m, conductor, edges)
        self._connect_columns(m, cells)
        for edge, row in zip(edges, cells, strict=True):
            m.d.comb += [row[0].a.eq(edge.a), row[0].ctl.eq(edge.ctl)]
        return m

    def _rows(self, m, conductor):
        edges: list[SimpleNamespace] = []
        for r in range(self.config.rows):
            edge = self.parts.place(m, "row_edge" if r else "row_edge_top", f"edge_{r}")
            above = edges[-1] if r else None
            m.d.comb += [
                edge.op.eq(Value.cast(conductor.op)),
                edge.slot.eq(above.slot_out if above else Value.cast(conductor.slot)),
                edge.slot_valid.eq(above.slot_out_valid if above else conductor.slot_valid),
                edge.north.eq(above.south if above else 0),
                edge.words.eq(getattr(self, f"a_{r}")),
                getattr(self, f"a_ready_{r}").eq(edge.a_ready),
            ]
            edges.append(edge)
        m.d.comb += conductor.done.eq(edges[-1].done)
        return edges

    def _cells(self, m):
        config = self.config
        cells = []
        for r in range(config.rows):
            cells.append([self.parts.place(m, "uspe", f"cell_{r}_{c}") for c in range(config.cols)])
            for west, cell in zip(cells[r][:-1], cells[r][1:], strict=True):
                m.d.comb += [cell.a.eq(west.a_out), cell.ctl.eq(west.ctl_out)]
            if r:
                for north, cell in zip(cells[r - 1], cells[r], strict=True):
                    m.d.comb += [cell.b.eq(north.b_out), cell.c.eq(north.c_out)]
        return cells

    def _columns(self, m, conductor, edges):
        """Requests and validity go right one column per cycle, as the control words do."""
        o_valid = edges[-1].o_valid
        for _ in range(SEND_TO_PACKED):
            o_valid = later(m, o_valid)
        marks = {"b_ready": conductor.b_ready, "c_ready": edges[0].c_ready, "o_valid": o_valid}
        for c in range(self.config.cols):
            for name, mark in marks.items():
                m.d.comb += getattr(self, f"{name}_{c}").eq(mark)
            marks = {name: later(m, mark) for name, mark in marks.items()}

    def _connect_columns(self, m, cells):
        for c, (top, bottom) in enumerate(zip(cells[0], cells[-1], strict=True)):
            above, below = (
                self.parts.place(m, "col_top", f"top_{c}"),
                self.parts.place(m, "col_bottom", f"bottom_{c}"),
            )
            m.d.comb += [
                above.word.eq(getattr(self, f"b_{c}")),
                above.sum.eq(getattr(self, f"c_{c}")),
                top.b.eq(above.b),
                top.c.eq(above.c),
                below.i.eq(bottom.c_out),
                getattr(self, f"o_{c}").eq(below.o),
            ]
