"""What goes wrong: every fault ends with its error or as if it had not been, and after a reset the
machine is as new."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from sat_bed import BLOCK, TINY, Bed, good, of
from sparsat.hw.instruction import Error
from sparsat.hw.isa.encoding import encode_program
from sparsat.hw.isa.instructions import (
    INSTRUCTION_BYTES,
    Exec,
    Halt,
    Instruction,
    LoadA,
    LoadB,
    Sem,
    Store,
    Update,
    Vector,
)
from sparsat.hw.register_map import Control, State, Status
from sparsat.hw.timing import BURST
from sparsat.sim.machine import run as run_cycles

FINE = LoadA(lines=3)
SLVERR, DECERR = 2, 3


@pytest.fixture
def bed():
    found = Bed()
    with found.card:
        yield found


def test_a_program_runs_as_often_as_one_likes(bed):
    bed.works()
    bed.works()


def wrong_opcode() -> bytes:
    code = bytearray(encode_program([FINE, FINE, Halt()]))
    code[INSTRUCTION_BYTES] = 7
    return bytes(code)


def far(bed: Bed) -> int:
    return len(bed.memory)


def layer(kind: type[Instruction], **fields) -> list[Instruction]:
    """The layer of `good`, its instruction of this kind changed."""
    _, *program, _ = good().program
    return [replace(each, **fields) if type(each) is kind else each for each in program]


WRONG: dict[str, tuple[Callable[[Bed], bytes | list[Instruction]], Error, int]] = {
    "an unknown opcode": (lambda bed: wrong_opcode(), Error.OPCODE, 1),
    "N over M": (lambda bed: [FINE, Exec(n=5, log_m=1, groups=1, k=1)], Error.FIELD, 1),
    "an M that SORE has not": (lambda bed: [LoadB(lines=16, mode=2, n=2, log_m=0)], Error.FIELD, 0),
    "no lines": (lambda bed: [FINE, replace(FINE, lines=0)], Error.FIELD, 1),
    "a load behind memory": (lambda bed: [FINE, LoadB(address=far(bed), lines=1)], Error.RANGE, 1),
    "a load out of memory": (
        lambda bed: [FINE, replace(FINE, address=far(bed) - BLOCK, lines=BURST + 1)],
        Error.RANGE,
        1,
    ),
    "a load before memory": (
        lambda bed: [replace(FINE, outer=2, outer_stride=-TINY.line_bytes)],
        Error.RANGE,
        0,
    ),
    "a store behind memory": (lambda bed: layer(Store, address=far(bed)), Error.RANGE, 3),
    "rows behind a half of B": (lambda bed: layer(Exec, b_base=1 << 20), Error.RANGE, 2),
    "an update behind memory": (
        lambda bed: [FINE, replace(of(Update), gradient=far(bed))],
        Error.RANGE,
        1,
    ),
    "an update of nothing": (lambda bed: [FINE, replace(of(Update), taps=0)], Error.FIELD, 1),
    "a semaphore nobody gives": (
        lambda bed: [FINE, LoadB(lines=1, wait=1 << Sem.STORE_TO_LOAD_B)],
        Error.DEADLOCK,
        1,
    ),
    "a third chunk for which nobody makes room": (
        lambda bed: [replace(FINE, outer=3)],
        Error.DEADLOCK,
        0,
    ),
    "a store of nothing": (lambda bed: [FINE, Store(rows=1), FINE], Error.DEADLOCK, 1),
    "no HALT": (lambda bed: encode_program([FINE, FINE]), Error.DEADLOCK, 2),
    "a full queue": (
        lambda bed: [*[LoadB(lines=1, wait=1 << Sem.STORE_TO_LOAD_B)] * 12, FINE],
        Error.DEADLOCK,
        0,
    ),
}


@pytest.mark.parametrize("stall", [0.0, 0.6])
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_program_stops_with_its_error(wrong, stall):
    make, error, number = WRONG[wrong]
    bed = Bed(stall=stall, seed=number)
    made = make(bed)
    code = made if isinstance(made, bytes) else encode_program([*made, Halt()])
    with bed.card:
        assert bed.fails(code) == (error, number)
        bed.works()  # a start makes it as new, ...
        beside_an_update = encode_program([of(Update)]) + code
        assert bed.fails(beside_an_update) == (error, number + 1)
        bed.reset()  # ... and so does a reset.
        bed.works()


TOO_MANY = encode_program([*[Vector(signal=1 << Sem.VECTOR_TO_LOAD_A)] * 256, Halt()])


def test_too_many_semaphores_stop_it(bed):
    """The number is of what was to be handed out next: whoever gave them may be far behind."""
    assert bed.fails(TOO_MANY) == (Error.SEMAPHORE, len(TOO_MANY) // INSTRUCTION_BYTES)
    bed.works()


MOVED: dict[str, tuple[type[Instruction] | None, str]] = {
    "the program": (None, ""),
    "gradients": (Update, "gradient"),
    "new weights": (Update, "new_master"),
    "indices of copies": (Update, "backward_index"),
    "A": (LoadA, "address"),
    "indices of B": (LoadB, "index_address"),
    "sums": (Store, "address"),
}
"""What memory gives and takes in `good`: the kind of instruction, the field with its address."""


@pytest.mark.parametrize("stall", [0.0, 0.6])
@pytest.mark.parametrize("response", [SLVERR, DECERR])
@pytest.mark.parametrize("what", MOVED)
def test_a_bus_error_names_the_instruction(what, response, stall):
    kind, field = MOVED[what]
    line, number = Bed().at, 0
    if kind:
        line = getattr(of(kind), field) // TINY.line_bytes
        number = [type(each) for each in good().program].index(kind)
    bed = Bed(copies=2, failing=range(line, line + 1), response=response, stall=stall)
    with bed.card:
        for recover in (bed.reset, lambda: None):
            assert bed.fails(bed.program) == (Error.BUS, number)
            recover()
            bed.move(1)
            bed.works()
            bed.move(0)


@pytest.mark.parametrize("cycles", [0, 1, 7, 60, 75, 90, 140, 200, 500, 1000, 1650])
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_a_reset_in_the_middle_ends_all_bursts(cycles, stall):
    """An UPDATE is at work until cycle 1103, a STORE from 1582 on."""
    bed = Bed(stall=stall, seed=cycles)
    with bed.card as card:
        card.begin(bed.program, at=bed.at)
        card.idle(cycles)
        bed.reset()
        assert card.read("ERROR") == 0
        bed.works()


@pytest.mark.parametrize("stall", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("seed", range(3))
def test_back_pressure_on_all_channels_changes_no_values(stall, seed):
    bed = Bed(stall=stall, seed=seed)
    with bed.card:
        bed.works(limit=20_000_000)


def test_a_start_while_it_runs_is_refused_and_nothing_else(bed):
    card = bed.card
    card.begin(bed.program, at=bed.at)
    card.write("CONTROL", Control.START)
    assert card.read("STATUS") & Status.REFUSED
    assert card.wait(100_000)
    found = card.result(bed.program)
    assert (found.state, found.cycles) == (State.DONE, bed.cycles)
    assert (bed.memory[: len(bed.after)] == bed.after).all()
    bed.works()
    assert not card.read("STATUS") & Status.REFUSED


@pytest.mark.parametrize(
    ("register", "value"),
    [
        ("PROGRAM", TINY.line_bytes),
        ("PROGRAM", 1 << 40),
        ("INSTRUCTIONS", 0),
        ("INSTRUCTIONS", 1 << 24),
        ("MEMORY_BYTES", BLOCK - 1),
        ("MEMORY_BYTES", 1 << 41),
    ],
)
def test_nothing_starts_with_numbers_that_do_not_fit(bed, register, value):
    card = bed.card
    bed.works()
    card.write(register, value)
    card.write("CONTROL", Control.START)
    assert card.wait(100)
    assert card.state() is State.ERROR
    assert (card.read("ERROR"), card.read("ERROR_INSTRUCTION")) == (Error.FIELD, 0)
    bed.works()


def test_a_program_outside_memory_is_out_of_range(bed):
    card = bed.card
    bed.works()
    card.write("PROGRAM", len(bed.memory))
    card.write("CONTROL", Control.START)
    assert card.wait(1000)
    assert (card.read("ERROR"), card.read("ERROR_INSTRUCTION")) == (Error.RANGE, 0)
    bed.works()


def test_memory_may_begin_anywhere():
    bed = Bed(base=(1 << 44) + (5 << 12))
    with bed.card:
        bed.works()


def test_the_host_is_asked_and_answers(bed):
    asked = []
    program = [Vector(op=7), Vector(op=9), Halt()]
    found = bed.card.run(
        program, at=bed.at, on_vector=lambda op, memory: asked.append(op), host_cycles=100
    )
    assert asked == [7, 9]
    assert found.times["end"][:2].tolist() == (found.times["start"][:2] + 100).tolist()


def test_a_host_that_never_answers_can_reset(bed):
    card = bed.card
    card.begin([Vector(op=7), Halt()], at=bed.at)
    assert card.wait(1000)
    card.idle(1000)
    assert card.state() is State.WAITING
    assert card.read("VECTOR_OP") == 7
    bed.reset()
    bed.works()


def test_registers_that_are_not_there_answer_slverr(bed):
    card = bed.card
    for offset in (0x2C, 0x88, 0xA0, 0xFFC):
        assert card.write_word(offset, 1) == SLVERR
        assert card.read_word(offset) == (0, SLVERR)
    assert card.write_word(0x00, 1) == SLVERR
    assert card.read_word(0x00) == (0x31544153, 0)


def test_bytes_of_a_register_are_written_alone(bed):
    card = bed.card
    card.write("PROGRAM", 0x11223344_55667788)
    card.write_word(card.registers["PROGRAM"].offset, 0xAABBCCDD, strobe=0b0101)
    assert card.read("PROGRAM") == 0x11223344_55BB77DD


def test_vectors_may_follow_each_other_without_a_pause(bed):
    program: list[Instruction] = [*(Vector(op=op) for op in range(12)), Halt()]
    found = bed.card.run(program, at=bed.at, on_vector=lambda op, memory: None, host_cycles=60)
    expected = run_cycles(TINY, program, host_cycles=60)
    for column in ("entered", "start", "end"):
        assert found.times[column].tolist() == expected.instructions[column].tolist()
