"""Random programs of LOADs and STOREs with scripted tokens, and what the simulated machines say."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from math import gcd
from typing import Any

import numpy as np

from memory_side_model import BChunk, Script
from slow_core import LATENCY, Machine, Seen, Steps
from slow_streams import Storing, load, load_bursts
from sparsat.hw.config import SATConfig
from sparsat.hw.isa.instructions import Halt, Instruction, LoadA, LoadB, Mode, Opcode, Sem, Store
from sparsat.hw.isa.site import half_rows_b, half_rows_c
from sparsat.hw.load_walk import half_lines, rows_of_line
from sparsat.sim.engines.decoded import decode
from sparsat.sim.engines.loop import run_machine
from sparsat.sim.engines.state import new_state
from sparsat.sim.functional.loads import load_b
from sparsat.sim.functional.state import Machine as Functional
from sparsat.sim.functional.words import pack_indices
from sparsat.sim.memory import new_memory

PROGRAM_LINES = 1 << 12
LINES = 1 << 14
STORED_LINES = 1 << 13
WRITTEN_LINES = 1 << 12
"""Memory: the program, what is loaded up to `LINES`, what STORE stores, what UPDATE writes."""
GIVEN = ((LoadA, Sem.A_FREE, 2), (LoadB, Sem.B_FREE, 2), (Store, Sem.C_FULL, 0))
"""What the chunks of each kind take, and how many of that are there at the start."""


def random_transfers(rng: random.Random, config: SATConfig, stores: bool) -> list[Instruction]:
    """Few or many LOADs, and STOREs if wanted, in any order."""
    kinds = [_load_a, _load_b, *[_store] * stores]
    count = rng.choice([1, 2, 5, 24])
    return [*(rng.choice(kinds)(rng, config) for _ in range(count)), Halt()]


def _load_a(rng: random.Random, config: SATConfig) -> LoadA:
    loops = _loops(rng)
    lines = _copied(rng, loops["segments"], half_lines(config, Opcode.LOAD_A))
    return LoadA(**loops, **_plane(rng, config, loops, lines))


def _load_b(rng: random.Random, config: SATConfig) -> LoadB:
    loops, mode = _loops(rng), rng.choice([Mode.COPY, *Mode])
    if mode != Mode.COPY:
        return (_pruned if mode == Mode.PRUNE else _transposed)(rng, config, loops)
    fields, segments = dict(loops), loops["segments"]
    lines = _copied(rng, segments, half_lines(config, Opcode.LOAD_B))
    fields |= _plane(rng, config, loops, lines)
    if rng.random() < 0.5:
        lines = _copied(rng, segments, half_lines(config, Opcode.LOAD_B, index=True))
        fields |= _plane(rng, config, loops, lines, "index_")
    return LoadB(**fields)


def _store(rng: random.Random, config: SATConfig) -> Store:
    wide = int(rng.random() < 0.5)
    row = config.cols * (4 if wide else 2)
    half = half_rows_c(config)
    outer, inner = rng.choice([(1, 1), (1, 1), (2, 1), (1, 3), (2, 2)])
    counts = {"d1_count": rng.randint(1, 3), "d2_count": rng.randint(1, 2)}
    counts |= {"d3_count": rng.choice([1, 1, 2])}
    rows = rng.choice([1, rng.randint(1, 10), rng.randint(1, 300)])
    loops = {"outer": outer, "inner": inner} | {k[:2]: n for k, n in counts.items()}
    strides = {k: rng.choice([0, 1, -1, 8, rows, -rows, 130]) for k in loops}
    steps = {k: rng.choice([0, 1, -2, 5]) for k in ("d1", "d2", "d3")} | {"row": rng.choice([1, 2])}
    turns = {k: loops[k] for k in ("d1", "d2", "d3")} | {"row": rows}
    low, high = _within(0, half - 1, [steps[k] * (turns[k] - 1) for k in steps])
    base = LINES * config.line_bytes // row
    room = STORED_LINES * config.line_bytes // row
    first, last = _within(base, base + room - rows, [strides[k] * (loops[k] - 1) for k in loops])
    return Store(
        wide=wide,
        rows=rows,
        outer=outer,
        inner=inner,
        **counts,
        **{f"{k}_stride": stride * row for k, stride in strides.items()},
        **{f"{k}_c": step for k, step in steps.items() if k != "row"},
        c_row=steps["row"],
        c_base=rng.randint(low, high),
        address=rng.randint(first, last) * row,
    )


def _within(low: int, high: int, ways: list[int]) -> tuple[int, int]:
    """Where one may begin that goes all these ways and stays from `low` to `high`."""
    return low - sum(way for way in ways if way < 0), high - sum(way for way in ways if way > 0)


def _loops(rng: random.Random) -> dict[str, int]:
    outer, inner = rng.choice([(1, 1), (1, 1), (2, 1), (1, 3), (2, 2)])
    return {"outer": outer, "inner": inner, "segments": rng.choice([1, 1, 2, 5])}


def _copied(rng: random.Random, segments: int, room: int) -> int:
    """Lines of a segment."""
    most = min(room // segments, 150)
    return rng.choice([1, rng.randint(1, min(most, 10)), rng.randint(1, most)])


def _pruned(rng: random.Random, config: SATConfig, loops: dict[str, int]) -> LoadB:
    log_m = rng.randint(1, 3)
    m = 2 << log_m
    n = rng.randint(1, m)
    rows = rows_of_line(config) * loops["segments"]
    step = m // gcd(m, rows)
    most = min(half_rows_b(config) * m // n // rows, 150) // step
    lines = step * rng.choice([1, rng.randint(1, min(most, 5)), rng.randint(1, most)])
    return LoadB(mode=Mode.PRUNE, n=n, log_m=log_m, **loops, **_plane(rng, config, loops, lines))


def _transposed(rng: random.Random, config: SATConfig, loops: dict[str, int]) -> LoadB:
    cols, block = config.cols, config.block
    tokens = rng.choice([1, cols - 1, cols, cols + 1, 2 * cols, rng.randint(1, 3 * cols)])
    room = half_rows_b(config) // loops["segments"] // -(-tokens // cols)
    most = min(room, 300) // block
    channels = block * rng.choice([1, rng.randint(1, most), rng.randint(1, most)])
    lines = -(-2 * tokens * channels // config.line_bytes)
    fields = {"mode": Mode.TRANSPOSE, "tokens": tokens, "channels": channels}
    return LoadB(**fields, **loops, **_plane(rng, config, loops, lines))


def _plane(
    rng: random.Random, config: SATConfig, loops: dict[str, int], lines: int, name: str = ""
) -> dict[str, int]:
    """Address, strides and lines of values or of indices, all in memory behind the program."""
    strides = {
        f"{loop}_stride": rng.choice([0, 1, -1, 64, -64, 100, 500])
        for loop in ("outer", "inner", "segment")
    }
    turns = {"outer": loops["outer"], "inner": loops["inner"], "segment": loops["segments"]}
    ways = [strides[f"{loop}_stride"] * (count - 1) for loop, count in turns.items()]
    low, high = _within(PROGRAM_LINES, LINES - lines, ways)
    bytes_ = {key: value * config.line_bytes for key, value in strides.items()}
    bytes_["address"] = rng.randint(low, high) * config.line_bytes
    return {name + key: value for key, value in bytes_.items()} | {name + "lines": lines}


def random_gifts(rng: random.Random, program: list[Instruction]) -> list[tuple[int, int]]:
    """Cycles and masks of what EXEC gives: a token for every chunk but those that find one."""
    masks: dict[int, int] = {}
    pace = rng.choice([5, 100, 400])
    for kind, sem, there in GIVEN:
        cycle = rng.randint(0, 400)
        chunks = sum(each.outer * each.inner for each in of_kind(program, kind))
        for _ in range(chunks - there):
            masks[cycle] = masks.get(cycle, 0) | 1 << sem
            cycle += rng.randint(1, pace)
    return sorted(masks.items())


def of_kind(program: list[Instruction], kind: type) -> list[Any]:
    """Those of exactly this kind."""
    return [each for each in program if type(each) is kind]


@dataclass
class Times:
    """Cycles of what the stepped machine did, in order."""

    seen: list[Seen]
    given: dict[Sem, list[int]] = field(default_factory=lambda: {sem: [] for sem in Sem})
    written: list[int] = field(default_factory=list)


class _Scripted(Machine):
    """The slow machine whose tokens come as scripted; notes when the others are given."""

    def __init__(self, config: SATConfig, program: list[Instruction], script: Script) -> None:
        super().__init__(config, program, "fixed")
        self.script, self.times = script, Times(self.seen)
        for cycle, mask in script.gifts:
            self.due[cycle].append(([sem for sem in Sem if mask >> sem & 1], -1))

    def give(self, cycle: int, sems: list[Sem], instruction: int = -1) -> None:
        super().give(cycle, sems, instruction)
        for sem in sems:
            self.times.given[sem].append(cycle)

    def write(self) -> Steps:
        for line, count in self.script.writes:
            ask = yield from self.ask("UPDATE", list(range(line, line + count)), True)
            self.times.written.append(ask.end + LATENCY)
        while True:
            yield


def step(config: SATConfig, program: list[Instruction], script: Script) -> Times:
    """Run on the machine that is stepped cycle by cycle."""
    m = _Scripted(config, program, script)
    storing = Storing(m)
    engines = [m.fetch(), load(m, "LOAD_A"), load(m, "LOAD_B")]
    engines += [storing.writer(), storing.reader(), m.write()]
    while m.finished < len(program) - 1 or m.seen[-1].start < 0 or _writing(m):
        m.deliver()
        for engine in engines:
            next(engine)
        m.dispatch()
        m.arbitrate()
        m.now += 1
        assert m.now < 1_000_000
    return m.times


def _writing(m: _Scripted) -> bool:
    return len(m.times.written) < len(m.script.writes)


def simulate(
    config: SATConfig, program: list[Instruction], gifts: list[tuple[int, int]]
) -> np.ndarray:
    """What the simulator records of each instruction when these tokens come."""
    state = new_state(config, new_memory("fixed", config))
    for number, (cycle, mask) in enumerate(gifts):
        gift = state["gives"][0, number]
        gift["time"], gift["mask"], gift["instruction"] = cycle, mask, -1
    clock = state["clock"]
    clock["gives"] = len(gifts)
    if gifts:
        clock["soonest"] = gifts[0][0]
    return run_machine(state, decode(config, program))


def expected_writes_of_a(
    config: SATConfig, program: list[Instruction]
) -> list[tuple[int, int, int]]:
    """(half, line of the half, line of memory), in order."""
    machine, found, half = Machine(config, program, "fixed"), [], 0
    for each in of_kind(program, LoadA):
        for o, i in product(range(each.outer), range(each.inner)):
            lines = [line for part, _ in load_bursts(machine, each, o, i) for line in part]
            found += [(half, place, line) for place, line in enumerate(lines)]
            half ^= 1
    return found


def check_b(
    config: SATConfig, program: list[Instruction], memory: np.ndarray, chunks: list[BChunk]
) -> None:
    """After each chunk its half of B is as in the functional simulator, untouched rows too."""
    machine = Functional(config, memory.reshape(-1), None)
    values, indices = machine.b.copy(), np.stack([*map(pack_indices, machine.b_index)])
    expected = _contents(machine, of_kind(program, LoadB))
    for chunk, (half, b, b_index) in zip(chunks, expected, strict=True):
        assert chunk.half == half
        for rows in (chunk.value_rows, chunk.index_rows):
            assert len(np.unique(rows)) == len(rows)
        values[half, chunk.value_rows] = chunk.values.view(np.uint16)
        indices[half, chunk.index_rows] = chunk.indices
        np.testing.assert_array_equal(values[half], b)
        np.testing.assert_array_equal(indices[half], pack_indices(b_index))


def _contents(
    machine: Functional, loads: list[LoadB]
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """A half of B and what it holds after each chunk."""
    for each in loads:
        running = load_b(machine, each)
        next(running)
        for _ in range(each.outer * each.inner):
            next(running, None)
            half = machine.load_b.half
            yield half, machine.b[half], machine.b_index[half]


def expected_memory(config: SATConfig, program: list[Instruction], sums: np.ndarray) -> np.ndarray:
    """The `STORED_LINES` lines behind `LINES`, which begin as zeros."""
    found = np.zeros(STORED_LINES * config.line_bytes, np.uint8)
    with np.errstate(over="ignore"):
        halves = sums.astype(np.float16)
    half = 0
    for x in of_kind(program, Store):
        for o, i in product(range(x.outer), range(x.inner)):
            counts = (x.d3_count, x.d2_count, x.d1_count, x.rows)
            for d3, d2, d1, j in product(*map(range, counts)):
                index = x.c_base + d3 * x.d3_c + d2 * x.d2_c + d1 * x.d1_c + j * x.c_row
                content = (sums if x.wide else halves)[half, index].view(np.uint8)
                at = x.address + o * x.outer_stride + i * x.inner_stride + j * len(content)
                at += d3 * x.d3_stride + d2 * x.d2_stride + d1 * x.d1_stride
                at -= LINES * config.line_bytes
                found[at : at + len(content)] = content
            half ^= 1
    return found.reshape(STORED_LINES, config.line_bytes)
