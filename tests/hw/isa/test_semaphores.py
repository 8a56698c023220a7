import re
from dataclasses import replace

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from sparsat.hw.isa.instructions import (
    SEM_START,
    Advance,
    Exec,
    Halt,
    Instruction,
    LoadA,
    LoadB,
    Opcode,
    Sem,
    Store,
    Update,
    Vector,
)
from sparsat.hw.isa.semaphores import GIVER, QUEUE, TAKER, check_semaphores, highest, table

STORED = 1 << Sem.STORE_TO_LOAD_A
SEEN = 1 << Sem.STORE_TO_VECTOR
EVERY = {f"{half}_advance": Advance.EVERY for half in "abc"}
GEMM = [LoadA(), LoadB(), Exec(), Store()]


def refused(program, message, **options):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_semaphores([*program, Halt()], **options)


def test_a_sound_program():
    chunks = [LoadA(outer=3), LoadB(outer=3), Exec(outer=3, **EVERY), Store(outer=3, signal=STORED)]
    check_semaphores([*chunks, LoadA(wait=STORED), LoadB(), Exec(), Store(), Halt()])


def test_long_programs_are_run_through():
    outer, inner = 10_000, 10
    advance = {"a_advance": Advance.EVERY, "b_advance": Advance.OUTER, "c_advance": Advance.ONCE}
    loads = [LoadA(outer=outer, inner=inner), LoadB(outer=outer)]
    check_semaphores([*loads, Exec(outer=outer, inner=inner, **advance), Store(), Halt()])


def test_a_deadlock_names_all_that_wait_and_for_what():
    refused(
        [*GEMM, LoadA(wait=STORED), LoadB(), Exec(), Store(signal=STORED), Update()],
        "deadlock: instruction 4, LOAD_A, waits for STORE_TO_LOAD_A; "
        "instruction 6, EXEC (chunk 0), waits for A_FULL; "
        "instruction 7, STORE (chunk 0), waits for C_FULL",
    )


def test_a_deadlock_within_an_instruction():
    refused(
        [LoadA(outer=5), LoadB(outer=4), Exec(outer=5, **EVERY), Store(outer=5)],
        "deadlock: instruction 2, EXEC (chunk 4), waits for B_FULL; "
        "instruction 3, STORE (chunk 4), waits for C_FULL",
    )


def test_a_full_queue_holds_back_what_follows():
    """Two more loads than the queue holds stand between a load and the store it waits for."""
    late = [LoadA(), LoadA(wait=STORED), LoadA(), LoadA(), LoadB(), Exec(), Store(signal=STORED)]
    program = [*late, *[LoadB(), Exec(), Store()] * 3]
    check_semaphores([*program, Halt()], queue=3)
    refused(
        program,
        "deadlock: instruction 1, LOAD_A, waits for STORE_TO_LOAD_A; "
        "instruction 4, LOAD_B, waits for room in a queue; "
        "instruction 5, EXEC, waits for room in a queue; "
        "instruction 6, STORE, waits for room in a queue",
        queue=2,
    )


@pytest.mark.parametrize(
    ("program", "left"),
    [
        ([LoadA()], "A_FULL is 1, A_FREE is 1"),
        ([LoadA(), LoadB(), Exec()], "C_FULL is 1, C_FREE is 1"),
        ([LoadA(), LoadB(), Exec(b_keep=1), Store()], "B_FREE is 1"),
        ([Vector(signal=1 << Sem.VECTOR_TO_LOAD_B)], "VECTOR_TO_LOAD_B is 1"),
    ],
)
def test_what_is_left_at_the_end_is_named(program, left):
    refused(program, f"at the end {left}, all must be as at the start")


STORES = [*GEMM[:3], Store(signal=SEEN)]


def test_a_semaphore_climbs_while_its_taker_is_late():
    check_semaphores([*STORES * 255, *[Vector(wait=SEEN)] * 255, Halt()])
    refused(
        [*STORES * 256, *[Vector(wait=SEEN)] * 256],
        "STORE_TO_VECTOR can reach 256 when VECTOR is late, it must stay within 255",
    )


def test_takers_that_wait_in_the_queue_bound_the_climb():
    program = [*STORES, Vector(wait=SEEN)] * 300
    check_semaphores([*program, Halt()])
    assert highest(table(program), Sem.STORE_TO_VECTOR, QUEUE) == QUEUE + 1


def engine(instructions, tokens, queue):
    """Moves tokens as docs/isa.md says; yields whether it could, after every attempt."""

    def take(names):
        while not all(tokens[name] for name in names):
            yield False
        for name in names:
            tokens[name] -= 1
        yield True

    def give(names):
        for name in names:
            tokens[name] += 1

    def named(mask):
        return [sem.name for sem in Sem if mask >> sem & 1]

    for instruction in instructions:
        while instruction not in queue:
            yield False
        yield from take(named(instruction.wait))
        queue.remove(instruction)
        for takes, gives in chunks(instruction):
            yield from take(takes)
            give(gives)
            yield True
        give(named(instruction.signal))
        yield True


def chunks(x):
    """For every chunk the names of what it takes and gives."""
    if isinstance(x, Exec):
        for o in range(x.outer):
            for i in range(x.inner):
                yield exec_chunk(x, o, i)
    elif isinstance(x, LoadA | Store):
        empty, full = {"LOAD_A": ("A_FREE", "A_FULL"), "LOAD_B": ("B_FREE", "B_FULL")}.get(
            x.OPCODE.name, ("C_FULL", "C_FREE")
        )
        yield from [([empty], [full])] * (x.outer * x.inner)


def exec_chunk(x, o, i):
    begins = {Advance.ONCE: o == i == 0, Advance.OUTER: i == 0, Advance.EVERY: True}
    i_ends, o_ends = i == x.inner - 1, o == x.outer - 1
    ends = {Advance.ONCE: o_ends and i_ends, Advance.OUTER: i_ends, Advance.EVERY: True}
    taken, given = [], []
    for half, names in ("a", "A_FULL A_FREE"), ("b", "B_FULL B_FREE"), ("c", "C_FREE C_FULL"):
        advance = getattr(x, f"{half}_advance")
        if begins[advance] and not (o == i == 0 and getattr(x, f"{half}_held")):
            taken.append(names.split()[0])
        if ends[advance] and not (o_ends and i_ends and getattr(x, f"{half}_keep")):
            given.append(names.split()[1])
    return taken, given


def slow_run(program, choose, size):
    """Engines in the order in which `choose` picks them: whether all end, tokens, their maxima."""
    tokens = {sem.name: SEM_START.get(sem, 0) for sem in Sem}
    high = dict(tokens)
    queues: dict[Opcode, list[Instruction]] = {opcode: [] for opcode in Opcode}
    engines = {
        opcode: engine([x for x in program if opcode == x.OPCODE], tokens, queues[opcode])
        for opcode in Opcode
    }
    handed = 0
    idle: set[Opcode] = set()
    while engines.keys() - idle:
        while handed < len(program) and len(queues[program[handed].OPCODE]) < size:
            queues[program[handed].OPCODE].append(program[handed])
            handed += 1
        chosen = choose(sorted(engines.keys() - idle))
        moved = next(engines[chosen], None)
        if moved is None:
            del engines[chosen]
        idle = set() if moved else idle | {chosen}
        high = {name: max(high[name], tokens[name]) for name in tokens}
    return not engines, tokens, high


small = st.integers(1, 3)
seldom = st.sampled_from([0, 0, 0, 0, 1])


@st.composite
def programs(draw):
    """GEMMs whose tokens fit, but for an error now and then; each instruction has its own `op`."""
    layers: list[Instruction] = []
    kept = dict.fromkeys("abc", 0)
    for last in [False] * draw(st.integers(0, 4)) + [True]:
        outer, inner = draw(small), draw(small)
        advance = {half: draw(st.sampled_from(list(Advance))) for half in "abc"}
        held, kept = kept, {half: 0 if last else draw(seldom) for half in "abc"}
        own = {half: (1, outer, outer * inner)[advance[half]] - held[half] for half in "abc"}
        own["c"] += held["c"] - kept["c"] + draw(seldom) * draw(seldom)
        layers += [k(outer=own[h]) for k, h in ((LoadA, "a"), (LoadB, "b")) if own[h]]
        flags = {f"{half}_held": held[half] for half in "abc"}
        flags |= {f"{half}_keep": kept[half] for half in "abc"}
        flags |= {f"{half}_advance": advance[half] for half in "abc"}
        layers.append(Exec(outer=outer, inner=inner, **flags))
        layers += [Store(outer=own["c"])] if own["c"] else []
        layers += [draw(st.sampled_from([Update, Vector]))()] * draw(seldom)
    layers = [replace(instruction, op=op) for op, instruction in enumerate(layers)]
    for _ in range(draw(st.integers(0, 4))):
        _join(draw, layers)
    return layers


def _join(draw, layers):
    """A semaphore from one instruction to one that mostly comes later."""
    sem = draw(st.sampled_from(list(GIVER)))
    givers = [i for i, x in enumerate(layers) if GIVER[sem] == x.OPCODE]
    takers = [i for i, x in enumerate(layers) if TAKER[sem] == x.OPCODE]
    if givers and takers:
        giver = draw(st.sampled_from(givers))
        later = [i for i in takers if i > giver]
        taker = draw(st.sampled_from(takers if not later or draw(seldom) else later))
        layers[giver] = replace(layers[giver], signal=layers[giver].signal ^ 1 << sem)
        layers[taker] = replace(layers[taker], wait=layers[taker].wait ^ 1 << sem)


def verdict(program, queue):
    try:
        check_semaphores(program, queue)
    except ValueError as error:
        return str(error).split()[0]
    return "sound"


@settings(max_examples=200)
@given(programs(), st.randoms(), st.integers(1, 3))
def test_the_verdict_is_that_of_the_documented_rules_in_any_order(program, order, queue):
    done, tokens, _ = slow_run(program, order.choice, queue)
    same = all(tokens[sem.name] == SEM_START.get(sem, 0) for sem in Sem)
    event("deadlock" if not done else "sound" if same else "left")
    assert verdict(program, queue) == ("deadlock:" if not done else "sound" if same else "at")


@given(programs(), st.sampled_from(list(TAKER)), st.randoms(), st.integers(1, 3))
def test_the_climb_is_that_of_the_laziest_taker_and_no_order_exceeds_it(program, sem, order, queue):
    lazy = slow_run(program, lambda ready: min(ready, key=lambda x: x == TAKER[sem]), queue)[2]
    high = highest(table(program), sem, queue)
    assert high == lazy[sem.name]
    assert slow_run(program, order.choice, queue)[2][sem.name] <= high
