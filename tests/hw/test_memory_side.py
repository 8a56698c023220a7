"""Programs of LOADs on the hardware, with memory behind its ports: values, cycles, protocol.

The memory in the harness checks the rules of AXI: what is offered stays, bursts lie within 4 KiB
and in memory, every write has as many beats as its address says.
"""

import functools
import random
from dataclasses import replace

import numpy as np
import pytest

from memory_side_model import (
    Kind,
    MemorySideModel,
    Script,
    Stall,
    cycles_of,
    error_of,
    writes_of,
)
from scripted_loads import (
    LINES,
    PROGRAM_LINES,
    expected_writes,
    random_gifts,
    random_loads,
    simulate_loads,
    step_loads,
)
from sparsat.hw.config import SATConfig, preset
from sparsat.hw.instruction import Error
from sparsat.hw.isa.encoding import encode_program
from sparsat.hw.isa.instructions import INSTRUCTION_BYTES, Exec, Halt, LoadA, LoadB, Sem, Store
from sparsat.hw.load import Load
from sparsat.hw.memory_side import MemorySide

TINY = preset("tiny")
NARROW = TINY.with_(name="narrow", axi_bits=64)
CARD = preset("vcu1525")
CONFIGS = (TINY, NARROW, CARD)
model = functools.cache(MemorySideModel)


def memory_of(config: SATConfig, seed: int = 1) -> np.ndarray:
    """[lines, line_bytes] of noise behind each line's own number."""
    rng = np.random.default_rng(seed)
    memory = rng.integers(0, 256, (LINES, config.line_bytes), np.uint8)
    memory[:, :4] = np.arange(LINES, dtype="<u4").view(np.uint8).reshape(-1, 4)
    return memory


def random_stores(rng: random.Random, config: SATConfig, count: int) -> Script:
    """Bursts that overlap in memory neither the program nor what is loaded: all lie in its end."""
    stores = []
    for _ in range(count):
        lines = rng.randint(1, 64)
        stores.append((rng.randrange(64) * 64 + rng.randint(0, 64 - lines), lines))
    total = sum(lines for _, lines in stores)
    data = np.random.default_rng(rng.randrange(1 << 30))
    return Script(
        stores=[(line + LINES, count) for line, count in stores],
        data=data.integers(0, 256, (total, config.line_bytes), np.uint8),
        strobes=data.integers(0, 256, (total, config.line_bytes // 8), np.uint8),
    )


def cases(config: SATConfig, count: int):
    for number in range(count):
        rng = random.Random(f"{config.name} {number}")
        program = random_loads(rng, config)
        script = random_stores(rng, config, rng.choice([0, 3, 20]))
        yield number, program, replace(script, gifts=random_gifts(rng, program))


def with_room(memory: np.ndarray) -> np.ndarray:
    """Memory with lines to store to behind it."""
    return np.concatenate([memory, np.zeros((64 * 64, memory.shape[1]), np.uint8)])


def stored(config: SATConfig, script: Script) -> np.ndarray:
    """The lines behind `LINES` after the script's bursts."""
    found, at = np.zeros((64 * 64, config.line_bytes), np.uint8), 0
    for line, count in script.stores:
        mask = np.unpackbits(script.strobes[at : at + count], axis=1, bitorder="little") == 1
        part = found[line - LINES : line - LINES + count]
        part[mask] = script.data[at : at + count][mask]
        at += count
    return found


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_lines_and_cycles_are_those_of_the_simulated_machines(config):
    chunks = 0
    for number, program, script in cases(config, 60):
        memory = with_room(memory_of(config))
        events = model(config).run(program, memory, script)
        times = step_loads(config, program, script)
        assert cycles_of(events, Kind.DISPATCHED) == times.entered, number
        assert cycles_of(events, Kind.A_STARTED) == times.a_started, number
        assert cycles_of(events, Kind.B_STARTED) == times.b_started, number
        assert cycles_of(events, Kind.A_FULL) == times.a_full, number
        assert cycles_of(events, Kind.B_FULL) == times.b_full, number
        assert cycles_of(events, Kind.WRITTEN) == times.written, number
        assert writes_of(events, Kind.A_WRITE) == expected_writes(config, program, LoadA), number
        assert writes_of(events, Kind.B_WRITE) == expected_writes(config, program, LoadB), number
        assert (memory[LINES:] == stored(config, script)).all(), number
        chunks += len(times.a_full) + len(times.b_full)
    assert chunks > 300


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_instructions_take_what_the_simulator_says(config):
    for number, program, script in cases(config, 60):
        script = Script(gifts=script.gifts)
        events = model(config).run(program, memory_of(config), script)
        seen = simulate_loads(config, program, script.gifts)
        assert cycles_of(events, Kind.DISPATCHED) == seen["entered"].tolist(), number
        for kind, start, end in (
            (LoadA, Kind.A_STARTED, Kind.A_ENDED),
            (LoadB, Kind.B_STARTED, Kind.B_ENDED),
        ):
            own = [index for index, each in enumerate(program) if type(each) is kind]
            assert cycles_of(events, start) == seen["start"][own].tolist(), number
            assert cycles_of(events, end) == seen["end"][own].tolist(), number


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
@pytest.mark.parametrize("often", [0.2, 0.8])
def test_memory_that_stalls_changes_no_values(config, often):
    for number, program, script in cases(config, 25):
        memory = with_room(memory_of(config))
        events = model(config).run(program, memory, script, stall=Stall(often, number))
        assert writes_of(events, Kind.A_WRITE) == expected_writes(config, program, LoadA), number
        assert writes_of(events, Kind.B_WRITE) == expected_writes(config, program, LoadB), number
        assert (memory[LINES:] == stored(config, script)).all(), number


def run_tiny(*program, script: Script | None = None, **options) -> np.ndarray:
    return model(TINY).run([*program, Halt()], memory_of(TINY), script or Script(), **options)


def line(number: int) -> int:
    return number * TINY.line_bytes


FINE = LoadA(address=line(5000), lines=3)


def test_a_program_may_lie_anywhere():
    at = PROGRAM_LINES // 2
    assert cycles_of(run_tiny(FINE, at=at), Kind.A_ENDED) == cycles_of(run_tiny(FINE), Kind.A_ENDED)


@pytest.mark.parametrize(
    "wrong",
    [
        replace(FINE, outer=0),
        replace(FINE, inner=0),
        replace(FINE, segments=0),
        replace(FINE, lines=0),
        replace(FINE, address=line(5000) + 8),
        replace(FINE, segment_stride=-8),
        LoadB(address=line(5000), lines=3, mode=2),
        LoadB(address=line(5000), lines=3, index_address=1, index_lines=1),
        replace(FINE, wait=1 << Sem.STORE_TO_LOAD_B),
        LoadB(address=line(5000), lines=3, signal=1 << Sem.STORE_TO_LOAD_B),
        Store(rows=1, signal=1 << 20),
    ],
)
def test_wrong_fields_are_found(wrong):
    assert error_of(run_tiny(FINE, wrong)) == (Error.FIELD, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        replace(FINE, segments=2, segment_stride=-line(5001)),
        replace(FINE, outer=2, outer_stride=-line(5001)),
        replace(FINE, lines=1024 + 1),
        LoadB(address=line(5000), lines=512 + 1),
        LoadB(address=line(5000), lines=1, index_address=line(5000), index_lines=129),
    ],
)
def test_what_is_not_in_memory_or_does_not_fit_the_half_is_found(wrong):
    script = Script(gifts=[(100, 1 << Sem.A_FREE)])
    assert error_of(run_tiny(FINE, wrong, script=script)) == (Error.RANGE, 1)


def test_a_half_may_be_filled():
    fits = LoadB(address=line(5000), lines=512, index_address=line(5000), index_lines=128)
    events = run_tiny(replace(FINE, lines=1024), fits)
    assert len(writes_of(events, Kind.A_WRITE)) == 1024
    assert len(writes_of(events, Kind.B_WRITE)) == 512 + 128


def test_bits_beyond_the_last_field_and_unknown_opcodes_are_found():
    for byte, value in ((255, 1), (44, 2), (0, 7), (0, 255)):
        program = bytearray(encode_program([FINE, FINE, Halt()]))
        program[INSTRUCTION_BYTES + byte] = value
        events = model(TINY).run(bytes(program), memory_of(TINY), Script())
        assert error_of(events) == (Error.OPCODE, 1)


def test_a_line_that_cannot_be_read_is_an_error_of_its_instruction():
    other = LoadB(address=line(6000), lines=3)
    assert error_of(run_tiny(FINE, other, FINE, failing=6001)) == (Error.BUS, 1)
    assert error_of(run_tiny(FINE, other, FINE, failing=5002)) == (Error.BUS, 0)


def test_a_semaphore_that_overflows_is_an_error():
    gifts = [(cycle, 1 << Sem.A_FREE) for cycle in range(260)]
    events = run_tiny(FINE, script=Script(gifts=gifts))
    assert error_of(events)[0] is Error.SEMAPHORE
    assert events[-1]["cycle"] == 255


def test_instructions_of_others_wait_in_their_queues():
    """No engine takes them here: the ninth fills no place, so the LOAD behind it never goes."""
    for count, goes in ((8, True), (9, False)):
        program = [Exec()] * count + [FINE]
        if goes:
            assert cycles_of(run_tiny(*program), Kind.A_ENDED)
        else:
            with pytest.raises(RuntimeError, match="not done"):
                run_tiny(*program, limit=2000)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"channels": 3}, "channels is 3"), ({"axi_bits": 1024}, "axi_bits is 1024")],
)
def test_ports_that_cannot_be_built_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        MemorySide(config=TINY.with_(**changes))


def test_only_loads_have_this_engine():
    with pytest.raises(ValueError, match="LOAD_A or LOAD_B"):
        Load(config=TINY, opcode=Store.OPCODE)
