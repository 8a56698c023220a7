"""The A scratchpad's feeders, and the rows' buffers."""

from collections.abc import Callable

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sparsat.hw.array_op import FEEDER_ROWS
from sparsat.hw.config import SATConfig
from sparsat.hw.exec_sequencer import tell, told_ports
from sparsat.hw.feeder import Feeder, line_ports
from sparsat.hw.parts import Parts
from sparsat.hw.row_buffer import RowBuffer


def rows_of_feeder(config: SATConfig, number: int) -> int:
    return min(FEEDER_ROWS, config.rows - number * FEEDER_ROWS)


def feeders(config: SATConfig) -> int:
    return -(-config.rows // FEEDER_ROWS)


def part_makers(config: SATConfig) -> dict[str, Callable[[], wiring.Component]]:
    """What is repeated, by Verilog module name."""
    sizes = {rows_of_feeder(config, number) for number in range(feeders(config))}

    def feeder(rows):
        return lambda: Feeder(config=config, rows=rows)

    makers: dict[str, Callable[[], wiring.Component]] = {
        f"feeder_{rows}": feeder(rows) for rows in sorted(sizes)
    }
    return makers | {"row_buffer": lambda: RowBuffer(config=config)}


class ASide(wiring.Component):
    """A feeder for every `FEEDER_ROWS` rows, each with a copy of the scratchpad of its own.

    Parameters
    ----------
    config : SATConfig
    parts : Parts

    Members
    -------
    decoded, x, chunk_valid, chunk : In
        Those of `ExecSequencer`.
    write, half, line, data : In
        See `feeder.line_ports`.
    a_{r} : Out(fmt.width * a_link), a_ready_{r} : In(1)
        See `STCE`.
    late, outside : Out(1)
        A row lacked values; an address does not lie in the half.
    """

    def __init__(self, *, config: SATConfig, parts: Parts):
        self.config, self.parts = config, parts
        ports = {
            **told_ports(),
            **line_ports(config),
            "late": Out(1),
            "outside": Out(1),
        }
        for r in range(config.rows):
            ports |= {f"a_{r}": Out(config.fmt.width * config.a_link), f"a_ready_{r}": In(1)}
        super().__init__(ports)

    def elaborate(self, platform):
        m = Module()
        late, outside = [], []
        for number in range(feeders(self.config)):
            rows = rows_of_feeder(self.config, number)
            feeder = self.parts.place(m, f"feeder_{rows}", f"feeder_{number}")
            m.d.comb += feeder.number.eq(number)
            tell(m, self, feeder)
            for name in line_ports(self.config):
                m.d.comb += getattr(feeder, name).eq(getattr(self, name))
            outside.append(feeder.outside)
            for row in range(rows):
                r = number * FEEDER_ROWS + row
                buffer = self.parts.place(m, "row_buffer", f"row_{r}")
                m.d.comb += [
                    buffer.number.eq(row),
                    buffer.write.eq(feeder.rows[row]),
                    buffer.word.eq(feeder.word),
                    buffer.taking.eq(feeder.taking),
                    buffer.take.eq(getattr(self, f"a_ready_{r}")),
                    getattr(self, f"a_{r}").eq(buffer.values),
                ]
                late.append(buffer.late)
                if row == rows - 1:
                    freed = Signal(5, name=f"freed_{number}")
                    m.d.sync += freed.eq(buffer.freed)
                    m.d.comb += feeder.freed.eq(freed)
        m.d.sync += [self.late.eq(Cat(late).any()), self.outside.eq(Cat(outside).any())]
        return m
