"""Random programs that a machine can run to their end: operations of LOAD_A, LOAD_B, EXEC, STORE
whose halves add up, and UPDATE and VECTOR among them."""

import random
from dataclasses import replace

from sparsat.hw.config import SATConfig
from sparsat.hw.isa.instructions import (
    INSTRUCTIONS,
    Advance,
    Exec,
    Halt,
    Instruction,
    LoadA,
    LoadB,
    Mode,
    Sem,
    Store,
    Update,
    Vector,
)
from sparsat.hw.isa.semaphores import BETWEEN

SPACE = 1 << 14
"""Lines among which addresses lie: some pages, which meet in the same banks now and then."""


def random_program(rng: random.Random, config: SATConfig) -> list[Instruction]:
    program: list[Instruction] = []
    held = {"a": 0, "b": 0, "c": 0}
    operations = rng.choice([1, 2, 2, 3, 3, 4, 10])
    for number in range(operations):
        keep = {name: int(number < operations - 1 and rng.random() < 0.2) for name in held}
        group = _operation(rng, config, held, keep)
        _order(rng, program, group)
        program += group
        held = keep
    return [*program, Halt()]


def _operation(
    rng: random.Random, config: SATConfig, held: dict[str, int], keep: dict[str, int]
) -> list[Instruction]:
    execute = _exec(rng, config, held, keep)
    found: list[Instruction] = []
    for name, kind in (("a", _load_a), ("b", _load_b)):
        halves = halves_of(execute, name) - held[name]
        found += [kind(rng, config, *part) for part in parts_of(rng, halves)]
    found.append(execute)
    stored = halves_of(execute, "c") - keep["c"]
    found += [_store(rng, config, *part) for part in parts_of(rng, stored)]
    if rng.random() < 0.4:
        read, write = rng.choice([(0, 0), (rng.randint(0, 200), rng.randint(0, 200))])
        found.append(Vector(read=read, write=write))
    if rng.random() < 0.3:
        found.append(_update(rng, config))
    return found


def halves_of(x: Exec, name: str) -> int:
    """Halves that an EXEC goes through."""
    return {
        Advance.ONCE: 1,
        Advance.OUTER: x.outer,
        Advance.EVERY: x.outer * x.inner,
    }[Advance(getattr(x, f"{name}_advance"))]


def parts_of(rng: random.Random, chunks: int) -> list[tuple[int, int]]:
    """Chunks as (outer, inner) of one instruction or several; of none where there are none."""
    if chunks == 0:
        return []
    if chunks > 1 and rng.random() < 0.3:
        return [(1, 1), *parts_of(rng, chunks - 1)]
    inner = rng.choice([d for d in range(1, chunks + 1) if chunks % d == 0])
    return [(chunks // inner, inner)]


def _order(rng: random.Random, program: list[Instruction], group: list[Instruction]) -> None:
    """Semaphores from the last of the program's instructions to what follows them."""
    for (giver, taker), sem in BETWEEN.items():
        if rng.random() < 0.5:
            _join(program, INSTRUCTIONS[giver], group, INSTRUCTIONS[taker], sem)


def _join(
    givers: list[Instruction], giver: type, takers: list[Instruction], taker: type, sem: Sem
) -> None:
    """The last giver signals what the first taker waits for."""
    gives = [i for i, each in enumerate(givers) if type(each) is giver]
    takes = [i for i, each in enumerate(takers) if type(each) is taker]
    if gives and takes and not givers[gives[-1]].signal >> sem & 1:
        last, first = gives[-1], takes[0]
        givers[last] = replace(givers[last], signal=givers[last].signal | 1 << sem)
        takers[first] = replace(takers[first], wait=takers[first].wait | 1 << sem)


def _line(rng: random.Random, config: SATConfig) -> int:
    return rng.randrange(SPACE) * config.line_bytes


def _stride(rng: random.Random, config: SATConfig) -> int:
    return rng.choice([1, 7, 64, 100, 2048]) * config.line_bytes


def _load_fields(rng: random.Random, config: SATConfig, outer: int, inner: int) -> dict[str, int]:
    return {
        "address": _line(rng, config),
        "outer": outer,
        "outer_stride": _stride(rng, config),
        "inner": inner,
        "inner_stride": _stride(rng, config),
        "segments": rng.choice([1, 1, 2, 5]),
        "segment_stride": _stride(rng, config),
        "lines": rng.choice([1, 2, rng.randint(1, 40), rng.randint(1, 180)]),
    }


def _load_a(rng: random.Random, config: SATConfig, outer: int, inner: int) -> LoadA:
    return LoadA(**_load_fields(rng, config, outer, inner))


def _load_b(rng: random.Random, config: SATConfig, outer: int, inner: int) -> LoadB:
    fields = _load_fields(rng, config, outer, inner)
    mode = rng.choice(list(Mode))
    if mode == Mode.TRANSPOSE:
        tokens, channels = rng.choice([1, 3, 4, 10]), config.block * rng.choice([1, 2, 5])
        fields |= {"tokens": tokens, "channels": channels}
        fields["lines"] = -(-2 * tokens * channels // config.line_bytes)
    elif mode == Mode.COPY and rng.random() < 0.5:
        fields |= {
            "index_address": _line(rng, config),
            "index_outer_stride": _stride(rng, config),
            "index_inner_stride": _stride(rng, config),
            "index_segment_stride": _stride(rng, config),
            "index_lines": rng.randint(1, 70),
        }
    return LoadB(mode=mode, n=2, log_m=2, **fields)


def _exec(
    rng: random.Random, config: SATConfig, held: dict[str, int], keep: dict[str, int]
) -> Exec:
    n, log_m = rng.choice([(2, 0), (2, 1), (4, 1), (2, 2), (8, 2)])
    m = 2 << log_m
    shapes = [(ir, is_) for ir in (1, 2, 4) for is_ in (1, 2, 3) if ir * m <= 32 and is_ * n <= 32]
    ir, is_ = rng.choice(shapes)
    advances = {f"{name}_advance": rng.choice(list(Advance)) for name in held}
    return Exec(
        ws=rng.random() < 0.3,
        a_mn=n == m and rng.random() < 0.4,
        n=n,
        log_m=log_m,
        ir=ir,
        is_=is_,
        a_shared=int(rng.random() < 0.5),
        least_period=rng.choice([0, 0, rng.randint(1, 90)]),
        outer=rng.randint(1, 3),
        inner=rng.randint(1, 3),
        chain=rng.random() < 0.3,
        resume=rng.random() < 0.2,
        tiles_p=rng.randint(1, 3),
        tiles_q=rng.randint(1, 2),
        groups=rng.choice([1, 2, 3, 8]),
        passes=rng.randint(1, 3),
        products0=rng.choice([1, 1, 2]),
        **advances,
        **{f"{name}_held": on for name, on in held.items()},
        **{f"{name}_keep": on for name, on in keep.items()},
    )


def _store(rng: random.Random, config: SATConfig, outer: int, inner: int) -> Store:
    wide = int(rng.random() < 0.4)
    row = config.cols * (4 if wide else 2)
    rows = rng.choice([1, 3, rng.randint(1, 50), rng.randint(1, 700)])

    def stride() -> int:
        return rng.choice([1, 3, 8, rows, 300]) * row

    return Store(
        address=rng.randrange(1 << 16) * row,
        outer=outer,
        outer_stride=stride(),
        inner=inner,
        inner_stride=stride(),
        wide=wide,
        rows=rows,
        d1_count=rng.randint(1, 3),
        d1_stride=stride(),
        d2_count=rng.randint(1, 2),
        d2_stride=stride(),
        d3_count=rng.choice([1, 1, 2]),
        d3_stride=stride(),
    )


def _update(rng: random.Random, config: SATConfig) -> Update:
    names = ("master", "momentum", "gradient", "new_master", "new_momentum")
    copies = ("forward", "forward_index", "backward", "backward_index")
    n, log_m = rng.choice([(2, 2), (4, 1), (1, 3), (3, 2)])
    return Update(
        **{name: _line(rng, config) for name in (*names, *copies)},
        copies=rng.random() < 0.7,
        n=n,
        log_m=log_m,
        taps=rng.randint(1, 2),
        in_blocks=rng.randint(1, 2),
        out_blocks=rng.randint(1, 2),
        transposed=rng.randint(0, 1),
    )
