"""Random programs of LOADs with scripted tokens, and when the two simulated machines run them."""

import random
from dataclasses import dataclass, field
from itertools import product

from memory_side_model import Script
from slow_core import LATENCY, Machine, Steps
from slow_streams import load, load_bursts
from sparsat.hw.config import SATConfig
from sparsat.hw.isa.instructions import Halt, Instruction, LoadA, LoadB, Opcode, Sem
from sparsat.hw.load_walk import half_lines
from sparsat.sim.engines.decoded import decode
from sparsat.sim.engines.loop import run_machine
from sparsat.sim.engines.state import new_state
from sparsat.sim.memory import new_memory

LINES = 1 << 14
"""Lines of memory. The program lies in the first ones."""
PROGRAM_LINES = 1 << 12
FREE = (Sem.A_FREE, Sem.B_FREE)


def random_loads(rng: random.Random, config: SATConfig) -> list[Instruction]:
    """LOAD_A and LOAD_B, few or many at a time of either, with at most 90 chunks of each."""
    program: list[Instruction] = []
    for _ in range(rng.choice([1, 2, 5, 24])):
        program.append(_load(rng, config, rng.choice(["a", "b"])))
    return [*program, Halt()]


def _load(rng: random.Random, config: SATConfig, which: str) -> LoadA:
    kind, opcode = (LoadA, Opcode.LOAD_A) if which == "a" else (LoadB, Opcode.LOAD_B)
    outer, inner = rng.choice([(1, 1), (1, 1), (2, 1), (1, 3), (2, 2)])
    segments = rng.choice([1, 1, 2, 5])
    fields = {"outer": outer, "inner": inner, "segments": segments}
    fields |= _plane(rng, config, "", fields, half_lines(config, opcode))
    if which == "b" and rng.random() < 0.5:
        fields |= _plane(rng, config, "index_", fields, half_lines(config, opcode, index=True))
    return kind(**fields)


def _plane(
    rng: random.Random, config: SATConfig, name: str, loops: dict[str, int], room: int
) -> dict[str, int]:
    """Address, strides and lines of values or of indices, all in memory behind the program."""
    most = min(room // loops["segments"], 150)
    lines = rng.choice([1, rng.randint(1, min(most, 10)), rng.randint(1, most)])
    strides = {
        f"{loop}_stride": rng.choice([0, 1, -1, 64, -64, 100, 500])
        for loop in ("outer", "inner", "segment")
    }
    last = {"outer": loops["outer"], "inner": loops["inner"], "segment": loops["segments"]}
    steps = [strides[f"{loop}_stride"] * (count - 1) for loop, count in last.items()]
    low = PROGRAM_LINES - sum(step for step in steps if step < 0)
    high = LINES - lines - sum(step for step in steps if step > 0)
    bytes_ = {key: value * config.line_bytes for key, value in strides.items()}
    bytes_["address"] = rng.randint(low, high) * config.line_bytes
    return {name + key: value for key, value in bytes_.items()} | {name + "lines": lines}


def random_gifts(rng: random.Random, program: list[Instruction]) -> list[tuple[int, int]]:
    """Cycles and masks of FREE tokens for all chunks but the first two of each LOAD."""
    masks: dict[int, int] = {}
    pace = rng.choice([5, 100, 400])
    for kind, sem in zip((LoadA, LoadB), FREE, strict=True):
        cycle = rng.randint(0, 400)
        for _ in range(_chunks(program, kind) - 2):
            masks[cycle] = masks.get(cycle, 0) | 1 << sem
            cycle += rng.randint(1, pace)
    return sorted(masks.items())


def _chunks(program: list[Instruction], kind: type) -> int:
    return sum(each.outer * each.inner for each in _of(program, kind))


def _of(program: list[Instruction], kind: type) -> list[LoadA]:
    """Those of exactly this kind."""
    return [each for each in program if isinstance(each, LoadA) and type(each) is kind]


@dataclass
class Times:
    """Cycles of what the stepped machine did, in order."""

    entered: list[int] = field(default_factory=list)
    a_started: list[int] = field(default_factory=list)
    b_started: list[int] = field(default_factory=list)
    a_full: list[int] = field(default_factory=list)
    b_full: list[int] = field(default_factory=list)
    written: list[int] = field(default_factory=list)


class _Scripted(Machine):
    """The slow machine whose tokens come as scripted; notes when the others are given."""

    def __init__(self, config: SATConfig, program: list[Instruction], script: Script) -> None:
        super().__init__(config, program, "fixed")
        self.script, self.times = script, Times()
        for cycle, mask in script.gifts:
            self.due[cycle].append(([sem for sem in Sem if mask >> sem & 1], -1))

    def give(self, cycle: int, sems: list[Sem], instruction: int = -1) -> None:
        super().give(cycle, sems, instruction)
        for sem, found in ((Sem.A_FULL, self.times.a_full), (Sem.B_FULL, self.times.b_full)):
            if sem in sems:
                found.append(cycle)

    def store(self) -> Steps:
        for line, count in self.script.stores:
            ask = yield from self.ask("STORE", list(range(line, line + count)), True)
            self.times.written.append(ask.end + LATENCY)
        while True:
            yield


def step_loads(config: SATConfig, program: list[Instruction], script: Script) -> Times:
    """Run on the machine that is stepped cycle by cycle."""
    m = _Scripted(config, program, script)
    engines = [m.fetch(), load(m, "LOAD_A"), load(m, "LOAD_B"), m.store()]
    while m.finished < len(program) - 1 or m.seen[-1].start < 0 or _writing(m):
        m.deliver()
        for engine in engines:
            next(engine)
        m.dispatch()
        m.arbitrate()
        m.now += 1
        assert m.now < 1_000_000
    pairs = list(zip(program, m.seen, strict=True))
    m.times.entered = [seen.entered for seen in m.seen]
    m.times.a_started = [seen.start for each, seen in pairs if type(each) is LoadA]
    m.times.b_started = [seen.start for each, seen in pairs if type(each) is LoadB]
    return m.times


def _writing(m: _Scripted) -> bool:
    return len(m.times.written) < len(m.script.stores)


def simulate_loads(config: SATConfig, program: list[Instruction], gifts: list[tuple[int, int]]):
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


def expected_writes(
    config: SATConfig, program: list[Instruction], kind: type
) -> list[tuple[int, int, int, int]]:
    """(half, index, line of the half, line of memory), in order."""
    machine, found, half = Machine(config, program, "fixed"), [], 0
    for each in _of(program, kind):
        index_lines = getattr(each, "index_lines", 0)
        for o, i in product(range(each.outer), range(each.inner)):
            lines = [line for part, _ in load_bursts(machine, each, o, i) for line in part]
            values = each.segments * each.lines
            assert len(lines) == values + each.segments * index_lines
            for place, line in enumerate(lines):
                index = int(place >= values)
                found.append((half, index, place - index * values, line))
            half ^= 1
    return found
