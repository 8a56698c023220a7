"""The timed machine against one that is stepped cycle by cycle, and laws of its times."""

import random

import pytest

from random_programs import random_program
from slow_machine import run_slowly
from sparsat.dataflow.array_work import Work
from sparsat.dataflow.mapping import Mapping
from sparsat.hw.array_op import Dataflow, Order
from sparsat.hw.config import preset
from sparsat.hw.isa.instructions import (
    SEM_MAX,
    Exec,
    Halt,
    LoadA,
    LoadB,
    Sem,
    Store,
    Update,
    Vector,
)
from sparsat.hw.timing import DECODE, FEED, START, array_cycles
from sparsat.sim.engines.decoded import Engine
from sparsat.sim.machine import CAUSES, MachineError, run

TINY = preset("tiny")
WIDE = preset("small").with_(name="wide", channels=2, wuve_lanes=8)
CASES = [("fixed", TINY, 100), ("fixed", WIDE, 60), ("ddr4", TINY, 30), ("ddr4", WIDE, 20)]
ARRAY = ("busy", "a", "b", "c", "instruction", "fill")


def some_programs(memory, config, count):
    for number in range(count):
        yield random_program(random.Random(f"{memory} {config.name} {number}"), config)


@pytest.mark.parametrize(("memory", "config", "count"), CASES)
def test_equals_the_machine_stepped_cycle_by_cycle(memory, config, count):
    for number, program in enumerate(some_programs(memory, config, count)):
        found = run(config, program, memory).instructions
        slow = run_slowly(config, program, memory)
        for field in ("entered", "start", "end", "read", "written"):
            expected = [getattr(each, field) for each in slow]
            assert found[field].tolist() == expected, (number, field, program)


@pytest.mark.parametrize("host_cycles", [1, 50, 1000])
def test_the_host_may_do_vectors(host_cycles):
    vectors = 0
    for number, program in enumerate(some_programs("fixed", TINY, 20)):
        found = run(TINY, program, host_cycles=host_cycles).instructions
        slow = run_slowly(TINY, program, "fixed", host_cycles=host_cycles)
        for field in ("entered", "start", "end", "read", "written"):
            assert found[field].tolist() == [getattr(each, field) for each in slow], number
        own = [index for index, each in enumerate(program) if isinstance(each, Vector)]
        assert (found["end"][own] == found["start"][own] + host_cycles).all()
        vectors += len(own)
    assert vectors > 5


@pytest.mark.parametrize("memory", ["fixed", "ddr4"])
def test_lines_are_those_of_the_instructions_and_memory_serves_one_per_cycle(memory):
    for program in some_programs(memory, TINY, 60):
        timing = run(TINY, program, memory)
        lines = timing.instructions["read"] + timing.instructions["written"]
        for each, count in zip(program, lines, strict=True):
            if isinstance(each, LoadA):
                segments = each.outer * each.inner * each.segments
                index = each.index_lines if isinstance(each, LoadB) else 0
                assert count == segments * (each.lines + index)
            if isinstance(each, Vector):
                assert count == each.read + each.write
        assert lines.sum() + len(program) * 4 <= timing.cycles


def test_all_cycles_of_the_array_are_accounted_for():
    spent = dict.fromkeys(ARRAY, 0)
    for program in some_programs("fixed", TINY, 60):
        timing = run(TINY, program)
        for field in ARRAY:
            assert (timing.instructions[field] >= 0).all()
            spent[field] += int(timing.instructions[field].sum())
        last = max(i for i, each in enumerate(program) if isinstance(each, Exec))
        assert (
            sum(timing.instructions[field].sum() for field in ARRAY)
            == (timing.instructions["end"][last])
        )
        assert (timing.waited >= 0).all()
    assert min(spent.values()) > 0


def one_gemm(**fields) -> list:
    """An operation of 4 chunks of A and C and one of B."""
    return [
        LoadA(outer=4, outer_stride=64 * 64, lines=64),
        LoadB(lines=2, **fields),
        Exec(n=4, log_m=1, ir=2, is_=4, outer=4, a_advance=2, c_advance=2, groups=400),
        Store(outer=4, outer_stride=64 * 64, rows=8),
        Halt(),
    ]


def test_times_by_hand():
    """Fetching 20 lines takes 20 + 60 cycles, the fourth line arrives after 64."""
    seen = run(TINY, one_gemm()).instructions
    assert seen["entered"].tolist() == [68, 72, 76, 80, 84]
    assert seen["start"].tolist() == [69, 73, 76 + 1 + DECODE, 81, 84]
    # LOAD_A asks in cycle 73, LOAD_B in 77: 64 lines of A go before its 2, then latency.
    assert seen["end"][1] == 73 + 64 + 2 + 60
    assert seen["busy"][2] == 4 * 400 * 4 * 8
    assert seen["end"][4] == seen["end"].max() == seen["end"][3]


@pytest.mark.parametrize("tiles", [1, 2, 4])
def test_chained_chunks_take_the_array_as_long_as_the_planner_expects(tiles):
    """Their operands are there: the array starts after the first words, and never waits."""
    fields = {"n": 4, "log_m": 1, "ir": 2, "is_": 4, "groups": 20}
    chain = Exec(**fields, tiles_p=tiles, outer=3, inner=2, a_advance=0, c_advance=0, chain=1)
    program = [LoadA(lines=1), LoadB(lines=1), chain, Halt()]
    record = run(TINY, program).instructions[2]
    mapping = Mapping(Dataflow.OS, 4, 4, 2, 4, Order.K, Order.K)
    chunk = Work(times=1, chunks=1, parts=1, fresh=1, p=8 * tiles, taps=1, k=80, products=1, q=4)
    fresh = mapping.array_cycles(TINY, [chunk])
    resumed = mapping.array_cycles(TINY, [chunk._replace(parts=5, fresh=0)])
    assert record["busy"] + record["fill"] == DECODE + 8 + FEED - START + fresh + resumed
    one_by_one = 5 * array_cycles(TINY, mapping.op(20, tiles, resume=True))
    assert (resumed < one_by_one) == (tiles == 4)


def test_a_stream_that_always_hits_runs_at_a_line_per_cycle_but_for_refresh():
    card, lines = preset("vcu1525"), 1_000_000
    fixed = run(card, [Vector(read=lines), Halt()]).cycles
    assert lines < fixed < lines + 300
    cycles = run(card, [Vector(read=lines), Halt()], "ddr4").cycles
    refreshes = cycles // 2340
    # Each costs closing, 350 ns, opening, and up to 7 cycles until the last burst allows closing.
    assert 5 + 105 + 5 <= (cycles - fixed) / refreshes <= 5 + 105 + 5 + 7


def test_reading_what_lies_in_one_bank_is_slow():
    """Lines 16 pages apart: each closes the page of the one before."""
    card = preset("vcu1525")
    far = 16 * 8192 * 4
    gemm = Exec(n=4, log_m=1, ir=2, is_=4, a_advance=0, b_held=1, c_held=1, groups=1)
    near, apart = (
        run(card, [LoadA(segments=100, segment_stride=s, lines=1), gemm, Halt()], "ddr4")
        for s in (card.line_bytes, far)
    )
    assert apart.instructions["end"][0] - near.instructions["end"][0] >= 99 * (14 - 1)


def test_what_engines_wait_for_is_named():
    waited = run(TINY, one_gemm()).waited
    longest = {engine: CAUSES[int(waited[engine].argmax())] for engine in Engine}
    assert longest[Engine.LOAD_A] == "A_FREE"
    assert longest[Engine.STORE] == "C_FULL"
    assert waited[Engine.EXEC, Sem.B_FULL] > 0


def test_a_deadlock_names_who_waits_for_what():
    program = one_gemm()
    del program[1]
    with pytest.raises(MachineError) as caught:
        run(TINY, program)
    assert str(caught.value) == (
        "DEADLOCK: LOAD_A (instruction 0) waits for A_FREE, "
        "EXEC (instruction 1) waits for B_FULL, STORE (instruction 2) waits for C_FULL"
    )


def test_a_full_queue_is_named_in_a_deadlock():
    stuck = [Vector(wait=1 << Sem.STORE_TO_VECTOR)] * 10
    with pytest.raises(MachineError, match="instruction 9 finds the queue of VECTOR full"):
        run(TINY, [*stuck, Halt()])


def test_a_semaphore_that_overflows_is_named():
    gives = Vector(signal=1 << Sem.VECTOR_TO_UPDATE)
    assert run(TINY, [gives] * SEM_MAX + [Halt()]).cycles > 0
    with pytest.raises(MachineError, match="SEMAPHORE: VECTOR_TO_UPDATE"):
        run(TINY, [gives] * (SEM_MAX + 1) + [Halt()])


@pytest.mark.parametrize("program", [[], [Vector()], [Halt(), Halt()], [Halt(), Vector()]])
def test_halt_stands_once_at_the_end(program):
    with pytest.raises(ValueError, match="must be the last instruction and only that"):
        run(TINY, program)


def test_what_never_ends_its_loops_is_refused():
    for each in (LoadA(), Store(), Update(in_blocks=0), Exec(n=2, ir=1, is_=1, groups=1, inner=0)):
        with pytest.raises(ValueError, match="must be at least 1"):
            run(TINY, [each, Halt()])
