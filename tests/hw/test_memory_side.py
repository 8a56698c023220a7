"""Programs of LOADs and STOREs on the hardware, with memory behind its ports.

Values are checked, and cycles; the memory in the harness checks the rules of AXI: what is offered
stays, bursts lie within 4 KiB and in memory, every write has as many beats as its address says.
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
    chunks_of_b,
    cycles_of,
    error_of,
    writes_of_a,
)
from sparsat.hw.config import SATConfig, preset
from sparsat.hw.instruction import Error
from sparsat.hw.isa.encoding import encode_program
from sparsat.hw.isa.instructions import (
    INSTRUCTION_BYTES,
    Exec,
    Halt,
    LoadA,
    LoadB,
    Mode,
    Sem,
    Store,
)
from sparsat.hw.isa.site import half_rows_c
from sparsat.hw.tools.verilator import lint
from transfers import (
    LINES,
    PROGRAM_LINES,
    STORED_LINES,
    WRITTEN_LINES,
    check_b,
    expected_memory,
    expected_writes_of_a,
    random_gifts,
    random_transfers,
    simulate,
    step,
)

TINY = preset("tiny")
NARROW = TINY.with_(name="narrow", axi_bits=128, sore_lanes=2)
CARD = preset("vcu1525")
CONFIGS = (TINY, NARROW, CARD)
"""Lines of eight rows, of two that SORE takes by halves, and of all ports of the card."""
KINDS = (
    (LoadA, Kind.A_STARTED, Kind.A_ENDED),
    (LoadB, Kind.B_STARTED, Kind.B_ENDED),
    (Store, Kind.S_STARTED, Kind.S_ENDED),
)
model = functools.cache(MemorySideModel)
of_config = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)


def memory_of(config: SATConfig) -> np.ndarray:
    """[lines, line_bytes]: noise behind each line's own number, then zeros to write to."""
    rng = np.random.default_rng(1)
    memory = np.zeros((LINES + STORED_LINES + WRITTEN_LINES, config.line_bytes), np.uint8)
    memory[:LINES] = rng.integers(0, 256, (LINES, config.line_bytes), np.uint8)
    memory[:LINES, :4] = np.arange(LINES, dtype="<u4").view(np.uint8).reshape(-1, 4)
    return memory


@functools.cache
def sums_of(config: SATConfig) -> np.ndarray:
    """Both halves of C: numbers of all sizes that FP16 knows, and beyond."""
    rng = np.random.default_rng(2)
    shape = (2, half_rows_c(config), config.cols)
    sizes = 2.0 ** rng.integers(-30, 18, shape)
    return (rng.standard_normal(shape) * sizes).astype(np.float32)


def random_script(rng: random.Random, config: SATConfig, program) -> Script:
    """Tokens for the program, and bursts of UPDATE in between."""
    writes = []
    for _ in range(rng.choice([0, 3, 20])):
        lines = rng.randint(1, 64)
        writes.append((rng.randrange(64) * 64 + rng.randint(0, 64 - lines), lines))
    total = sum(lines for _, lines in writes)
    noise = np.random.default_rng(rng.randrange(1 << 30))
    return Script(
        sums=sums_of(config),
        gifts=random_gifts(rng, program),
        writes=[(line + LINES + STORED_LINES, count) for line, count in writes],
        data=noise.integers(0, 256, (total, config.line_bytes), np.uint8),
        strobes=noise.integers(0, 256, (total, config.line_bytes // 8), np.uint8),
    )


def cases(config: SATConfig, count: int):
    for number in range(count):
        rng = random.Random(f"{config.name} {number}")
        program = random_transfers(rng, config, stores=number % 3 > 0)
        yield number, program, random_script(rng, config, program)


def written(config: SATConfig, script: Script) -> np.ndarray:
    """The last `WRITTEN_LINES` lines of memory after the script's bursts."""
    found, at = np.zeros((WRITTEN_LINES, config.line_bytes), np.uint8), 0
    for line, count in script.writes:
        mask = np.unpackbits(script.strobes[at : at + count], axis=1, bitorder="little") == 1
        first = line - LINES - STORED_LINES
        found[first : first + count][mask] = script.data[at : at + count][mask]
        at += count
    return found


def check_values(config: SATConfig, program, script: Script, events, memory) -> None:
    assert writes_of_a(events) == expected_writes_of_a(config, program)
    check_b(config, program, memory, chunks_of_b(events, config.cols))
    stored = memory[LINES : LINES + STORED_LINES]
    assert (stored == expected_memory(config, program, script.sums)).all()
    assert (memory[LINES + STORED_LINES :] == written(config, script)).all()


@of_config
def test_the_verilog_is_clean(config, tmp_path):
    (tmp_path / "memory_side.v").write_text(model(config).verilog)
    lint([tmp_path / "memory_side.v"], "memory_side")


@of_config
def test_every_token_comes_when_the_stepped_machine_says(config):
    given = 0
    for number, program, script in cases(config, 60):
        times = step(config, program, script)
        memory = memory_of(config)
        events = model(config).run(program, memory, script)
        check_values(config, program, script, events, memory)
        assert cycles_of(events, Kind.WATCHED_0) == times.given[Sem.A_FULL], number
        assert cycles_of(events, Kind.WATCHED_1) == times.given[Sem.B_FULL], number
        assert cycles_of(events, Kind.WRITTEN) == times.written, number
        watch = (Sem.A_FULL, Sem.C_FREE)
        events = model(config).run(program, memory_of(config), script, watch=watch)
        free = cycles_of(events, Kind.WATCHED_1)
        assert free == [0, 1, *times.given[Sem.C_FREE]], number
        given += sum(len(cycles) for cycles in times.given.values())
    assert given > 500


@of_config
def test_instructions_take_what_the_simulator_says(config):
    instructions = 0
    for number, program, script in cases(config, 60):
        script = replace(script, writes=[])
        events = model(config).run(program, memory_of(config), script)
        seen = simulate(config, program, script.gifts)
        assert cycles_of(events, Kind.DISPATCHED) == seen["entered"].tolist(), number
        for kind, start, end in KINDS:
            own = [index for index, each in enumerate(program) if type(each) is kind]
            assert cycles_of(events, start) == seen["start"][own].tolist(), (number, kind)
            assert cycles_of(events, end) == seen["end"][own].tolist(), (number, kind)
        instructions += len(program)
    assert instructions > 300


@of_config
@pytest.mark.parametrize("often", [0.2, 0.8])
def test_memory_that_stalls_changes_no_values(config, often):
    for number, program, script in cases(config, 25):
        memory = memory_of(config)
        events = model(config).run(program, memory, script, stall=Stall(often, number))
        check_values(config, program, script, events, memory)


def run_tiny(*program, script: Script | None = None, **options) -> np.ndarray:
    return model(TINY).run(
        [*program, Halt()], memory_of(TINY), script or Script(sums_of(TINY)), **options
    )


def line(number: int) -> int:
    return number * TINY.line_bytes


FINE = LoadA(address=line(5000), lines=3)
COPY = LoadB(address=line(5000), lines=3)
PRUNE = replace(COPY, mode=Mode.PRUNE, n=2, log_m=2)
TRANSPOSE = replace(COPY, mode=Mode.TRANSPOSE, tokens=4, channels=16, lines=2)
OUT = Store(address=line(LINES), rows=3)


def test_a_program_may_lie_anywhere():
    at = PROGRAM_LINES // 2
    assert cycles_of(run_tiny(FINE, at=at), Kind.A_ENDED) == cycles_of(run_tiny(FINE), Kind.A_ENDED)


MORE = Script(sums_of(TINY), [(100, 1 << Sem.A_FREE | 1 << Sem.C_FULL)])
"""One token more."""


@pytest.mark.parametrize(
    "wrong",
    [
        replace(FINE, outer=0),
        replace(FINE, inner=0),
        replace(FINE, segments=0),
        replace(FINE, lines=0),
        replace(FINE, address=line(5000) + 8),
        replace(FINE, segment_stride=-8),
        replace(COPY, mode=3),
        *(replace(PRUNE, **bad) for bad in ({"n": 0}, {"n": 9}, {"log_m": 0}, {"index_lines": 1})),
        replace(PRUNE, lines=3, log_m=3),
        replace(PRUNE, segments=3, lines=1, log_m=3),
        replace(TRANSPOSE, index_lines=1),
        *(replace(TRANSPOSE, channels=bad) for bad in (0, 24, 4112)),
        *(replace(TRANSPOSE, tokens=bad) for bad in (0, 2, 5)),
        *(replace(TRANSPOSE, lines=bad) for bad in (1, 3)),
        replace(COPY, index_address=1, index_lines=1),
        replace(FINE, wait=1 << Sem.STORE_TO_LOAD_B),
        replace(COPY, signal=1 << Sem.STORE_TO_LOAD_B),
        replace(OUT, signal=1 << 20),
        replace(OUT, outer=0),
        replace(OUT, inner=0),
        replace(OUT, rows=0),
        replace(OUT, d1_count=0),
        replace(OUT, d2_count=0),
        replace(OUT, d3_count=0),
        replace(OUT, d2_stride=4),
        replace(OUT, address=line(LINES) + 8, wide=1),
    ],
)
def test_wrong_fields_are_found(wrong):
    assert error_of(run_tiny(FINE, wrong, script=MORE)) == (Error.FIELD, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        replace(FINE, segments=2, segment_stride=-line(5001)),
        replace(FINE, outer=2, outer_stride=-line(5001)),
        replace(FINE, lines=1024 + 1),
        replace(COPY, lines=512 + 1),
        replace(PRUNE, lines=512 + 1, n=8),
        replace(PRUNE, lines=2048 + 1),
        replace(TRANSPOSE, lines=323, tokens=5, channels=2064),
        replace(PRUNE, segments=2, segment_stride=-line(5001)),
        LoadB(address=line(5000), lines=1, index_address=line(5000), index_lines=129),
        replace(OUT, d1_count=2, d1_stride=-line(LINES + 1)),
        replace(OUT, c_base=2046),
        replace(OUT, c_base=1, c_row=-1),
    ],
)
def test_what_is_not_in_memory_or_does_not_fit_the_half_is_found(wrong):
    assert error_of(run_tiny(FINE, wrong, script=MORE)) == (Error.RANGE, 1)


def test_the_last_row_of_c_may_be_stored():
    events = run_tiny(replace(OUT, c_base=2045), script=MORE)
    assert len(cycles_of(events, Kind.S_ENDED)) == 1


def test_a_half_may_be_filled():
    fits = LoadB(address=line(5000), lines=512, index_address=line(5000), index_lines=128)
    events = run_tiny(replace(FINE, lines=1024), fits)
    assert len(writes_of_a(events)) == 1024
    assert len(cycles_of(events, Kind.B_VALUES)) == 512
    assert len(cycles_of(events, Kind.B_INDICES)) == 128


@pytest.mark.parametrize(
    "fits",
    [
        replace(PRUNE, lines=512, n=8),
        replace(PRUNE, lines=2048),
        replace(TRANSPOSE, tokens=4, channels=4096, lines=512),
        replace(TRANSPOSE, tokens=1, channels=2048, segments=2, lines=64),
    ],
)
def test_what_is_arranged_may_fill_a_half(fits):
    memory = memory_of(TINY)
    events = model(TINY).run([fits, replace(COPY, lines=1), Halt()], memory, Script(sums_of(TINY)))
    first, second = chunks_of_b(events, TINY.cols)
    assert len(first.values) == 4096
    check_b(TINY, [fits, replace(COPY, lines=1)], memory, [first, second])


def test_bits_beyond_the_last_field_and_unknown_opcodes_are_found():
    for byte, value in ((255, 1), (44, 2), (0, 7), (0, 255)):
        program = bytearray(encode_program([FINE, FINE, Halt()]))
        program[INSTRUCTION_BYTES + byte] = value
        events = model(TINY).run(bytes(program), memory_of(TINY), Script(sums_of(TINY)))
        assert error_of(events) == (Error.OPCODE, 1)


def test_a_line_that_cannot_be_read_is_an_error_of_its_instruction():
    other = LoadB(address=line(6000), lines=3)
    assert error_of(run_tiny(FINE, other, FINE, failing=6001)) == (Error.BUS, 1)
    assert error_of(run_tiny(FINE, other, FINE, failing=5002)) == (Error.BUS, 0)


def test_a_semaphore_that_overflows_is_an_error():
    gifts = [(cycle, 1 << Sem.A_FREE) for cycle in range(260)]
    events = run_tiny(FINE, script=Script(sums_of(TINY), gifts))
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
