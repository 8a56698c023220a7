"""The event-by-event engine against a machine that is stepped cycle by cycle."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from slow_engines import Instruction, run_slowly
from sparsat.dataflow.program import Sem, mask
from sparsat.sim.engine import run

SEMS = 7
SOME_SEMS = st.lists(st.integers(0, SEMS - 1), max_size=2, unique=True).map(tuple)
INSTRUCTIONS = st.builds(
    Instruction,
    engine=st.integers(0, 4),
    lines=st.one_of(st.just(0), st.integers(1, 400)),
    cycles=st.integers(0, 300),
    wait=SOME_SEMS,
    signal=SOME_SEMS,
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(INSTRUCTIONS, max_size=24),
    st.lists(st.integers(0, 4), min_size=SEMS, max_size=SEMS),
    st.sampled_from([0, 1, 7, 60]),
)
def test_equals_the_slow_machine_to_the_cycle(
    program: list[Instruction], sems: list[int], latency: int
) -> None:
    rows = [
        [i.engine, i.lines, i.cycles, *(mask(*map(Sem, each)) for each in (i.wait, i.signal))]
        for i in program
    ]
    columns = np.array(rows, np.int64).reshape(-1, 5).T.copy()
    start, end = run(*columns, np.array(sems, np.int64), latency)
    expected = run_slowly(program, list(sems), latency)
    assert list(zip(start.tolist(), end.tolist(), strict=True)) == expected


def test_engines_share_memory_in_bursts() -> None:
    """16 lines each in turn, then the longer one alone, and the latency at the end of each."""
    columns = np.array([[0, 20, 0, 0, 0], [2, 40, 0, 0, 0]], np.int64).T.copy()
    start, end = run(*columns, np.zeros(SEMS, np.int64), 60)
    assert start.tolist() == [0, 0]
    assert end.tolist() == [16 + 16 + 4 + 60, 60 + 60]


def test_an_instruction_that_waits_for_ever_has_no_end() -> None:
    columns = np.array([[0, 1, 0, 1, 0]], np.int64).T.copy()
    _, end = run(*columns, np.zeros(SEMS, np.int64), 60)
    assert end.tolist() == [-1]
