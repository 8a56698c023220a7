"""Random programs of EXECs at instruction level, as no compiler would make them: all that they read
is loaded, all of C is stored."""

import random
from dataclasses import replace
from itertools import pairwise, permutations

import numpy as np

from array_cases import PATTERNS, interleaves
from random_programs import halves_of, parts_of
from sparsat.hw.array_op import log_m_of
from sparsat.hw.config import SATConfig
from sparsat.hw.isa.instructions import (
    Advance,
    Exec,
    Halt,
    Instruction,
    LoadA,
    LoadB,
    Opcode,
    Store,
)
from sparsat.hw.isa.site import half_rows_b, half_rows_c, half_values_a
from sparsat.hw.isa.validate import validate
from sparsat.hw.load_walk import half_lines

OPERANDS, INDICES, RESULTS, LINES = 1 << 11, 1 << 12, (1 << 12) + (1 << 11), 1 << 15
"""Where operands, indices and results begin in memory, and its size, in lines."""
MOST_SLOTS = 600
HALVES = ("a", "b", "c")


def exec_program(rng: random.Random, config: SATConfig) -> list[Instruction]:
    """A few EXECs, which may keep halves for the next one."""
    kept = [{name: int(rng.random() < 0.4) for name in HALVES} for _ in range(rng.randint(0, 3))]
    none = dict.fromkeys(HALVES, 0)
    stored = 0
    found = _with_tokens(rng, config, _zeros(config), none, none, stored)
    for held, keep in pairwise([none, *kept, none]):
        stored = sum(each.outer * each.inner for each in found if isinstance(each, Store))
        x = _sound(rng, config, held, keep)
        found += _with_tokens(rng, config, x, held, keep, stored)
    return [*found, Halt()]


def exec_memory(rng: np.random.Generator, config: SATConfig) -> np.ndarray:
    """Operands, and indices that any pattern has; uint8 [bytes]."""
    memory = np.zeros((LINES, config.line_bytes), np.uint8)
    values = rng.standard_normal((INDICES - OPERANDS, config.line_bytes // 2)).astype(np.float16)
    memory[OPERANDS:INDICES] = values.view(np.uint8)
    low, high = rng.integers(0, 2, (2, RESULTS - INDICES, config.line_bytes), np.uint8)
    memory[INDICES:RESULTS] = low | high << 4
    return memory.reshape(-1)


def _zeros(config: SATConfig) -> Exec:
    """All rows of both halves of C become 0."""
    rows = half_rows_c(config)
    tiles = -(-rows // config.rows)
    shape = {"n": 2, "log_m": 0, "ir": 1, "is_": 1, "groups": 1, "least_period": 8}
    return Exec(
        **shape, p=rows, tiles_p=tiles, q_blocks=1, inner=2, c_advance=Advance.EVERY, c_p=1, k=0
    )


def _sound(
    rng: random.Random, config: SATConfig, held: dict[str, int], keep: dict[str, int]
) -> Exec:
    """One that `validate` passes."""
    while True:
        x = _with_c(rng, config, _with_b(rng, config, _draft(rng, config)))
        x = replace(
            x,
            **{f"{name}_held": on for name, on in held.items()},
            **{f"{name}_keep": on for name, on in keep.items()},
            chain=int(rng.random() < 0.5),
        )
        if held["c"] and rng.random() < 0.7:
            x = replace(x, resume=1, c_advance=Advance.ONCE)
        slots = x.outer * x.inner * x.tiles_p * x.tiles_q * x.groups * x.products0 * x.products1
        if slots < MOST_SLOTS and _is_valid(config, replace(x, a_held=0, b_held=0, c_held=0)):
            return x


def _is_valid(config: SATConfig, x: Exec) -> bool:
    try:
        validate(config, [replace(x, a_keep=0, b_keep=0, c_keep=0, resume=0), Halt()])
    except ValueError:
        return False
    return True


def _draft(rng: random.Random, config: SATConfig) -> Exec:
    """Loops and A; B and C as small as can be. Feeders often have no cycle to spare."""
    n, m = rng.choice([pattern for pattern in PATTERNS if pattern[1] <= config.m_max])
    ws, a_mn = rng.random() < 0.4, n == m and rng.random() < 0.5
    shapes = [s for s in interleaves(config, n, m) if not a_mn or s[0] in (1, 2, 4, 8, 16)]
    ir, is_ = rng.choice(shapes)
    outer, inner = rng.choice([(1, 1), (1, 1), (1, 2), (2, 1), (1, 5), (3, 2)])
    tiles = {"passes" if ws else "tiles_p": rng.choice([1, 1, 2, 3])}
    groups = rng.choice([1, 2, 3, rng.randint(1, 40)])
    word, digit = (ir, "r0") if a_mn else (m, "k0")
    shared, share = rng.random() < 0.6, max(16 // word, 1)
    unit = 16 if shared else rng.choice([1, word, 16])

    def step() -> int:
        return unit * rng.choice([0, 1, 1, 2, 3, -1, -2])

    def move() -> int:
        return rng.choice([0, 0, 0, 1, 1, 2, -1])

    moves = ("r0_x", "r1_x", "r1_y", "r2_y", "k0_x", "k1_x", "k1_y", "k2_y", "y_outer", "y_inner")
    fields = {f"{x}{d}_count": rng.choice([1, 2, 3, 5, 1000]) for x in "rk" for d in range(2)}
    fields |= {f"{x}{d}_a": step() for x in "rk" for d in range(3)}
    fields |= {name: move() for name in moves}
    fields |= {name: step() for name in ("a_outer", "a_inner", "a_product0", "a_product1")}
    if shared:
        count = rng.choice([share, 2 * share, 3 * share, 1000])
        fields |= {f"{digit}_a": word, f"{digit}_x": 0, f"{digit}_count": count}
    rows = groups * ir if ws else tiles.get("tiles_p", 1) * config.rows * ir
    entries = (config.rows * tiles.get("passes", 1) if ws else groups) * (m if a_mn else 1)
    reads = min(config.rows, 8) * (m if a_mn else ir)
    least = rng.choice([0, reads // 2, reads, reads + rng.randint(0, 30)])
    return Exec(
        ws=int(ws), a_mn=int(a_mn), n=n, log_m=log_m_of(m), ir=ir, is_=is_, a_shared=int(shared),
        outer=outer, inner=inner, groups=groups, tiles_q=rng.choice([1, 1, 2, 3]), q_blocks=1,
        products0=rng.choice([1, 1, 2]), products1=rng.choice([1, 1, 1, 2]),
        a_advance=rng.choice(list(Advance)), c_advance=rng.choice(list(Advance)),
        p=rng.choice([rows, rng.randint(1, rows)]), least_period=least,
        k=rng.choice([entries, entries, rng.randint(0, entries + 1)]),
        a_base=unit * rng.randint(0, half_values_a(config) // unit // 2),
        y0=rng.randint(-3, 1), x0=rng.randint(-3, 1),
        height=rng.choice([1, 3, 8, 100]), width=rng.choice([1, 3, 8, 100]), **tiles, **fields,
    )  # fmt: skip


def _with_b(rng: random.Random, config: SATConfig, x: Exec) -> Exec:
    """The same with any steps in B."""
    fields = {f"b_{c}{d}": rng.choice([0, 1, 2, 5, -1, 7]) for c in "kq" for d in range(3)}
    moves = ("b_k0_x", "b_k1_y", "b_q1_x", "b_q2_y", "b_y_inner")
    fields |= {name: rng.choice([0, 0, 0, 1, -1]) for name in moves}
    others = ("b_outer", "b_product0", "b_product1")
    fields |= {name: rng.choice([0, 1, 3, -2]) for name in others}
    dense = x.n == x.m
    return replace(
        x, **fields, b_advance=rng.choice(list(Advance)),
        b_mn=int(dense and rng.random() < 0.5),
        b_n=0 if x.a_mn else rng.choice([0, 1, 1, 2]),
        b_last=rng.randint(0, x.n - 1) if dense and not x.a_mn else 0,
        b_base=rng.randrange(half_rows_b(config)),
        q0_count=rng.choice([1, 2, 3]), q1_count=rng.choice([1, 2, 3]),
        b_y0=rng.randint(-1, 1), b_x0=rng.randint(-1, 1),
        b_height=rng.choice([1, 2, 100]), b_width=rng.choice([1, 2, 100]),
        q_blocks=rng.randint(1, x.tiles_q * x.is_),
    )  # fmt: skip


def _with_c(rng: random.Random, config: SATConfig, x: Exec) -> Exec:
    """The same with its sums in any order, each in a row of its own."""
    covered = x.ir * (x.groups if x.ws else x.tiles_p * config.rows)
    room = half_rows_c(config) // (x.q_blocks * x.products0 * x.products1)
    p = min(x.p, max(room, 1))
    sizes = {"c_p": min(p, covered), "c_q": x.q_blocks}
    sizes |= {"c_product0": x.products0, "c_product1": x.products1}
    steps, at = {}, 1
    for name in rng.choice(list(permutations(sizes))):
        steps[name] = at
        at *= sizes[name]
    return replace(x, **steps, p=p, c_base=rng.randint(0, max(0, half_rows_c(config) - at)))


def _with_tokens(
    rng: random.Random,
    config: SATConfig,
    x: Exec,
    held: dict[str, int],
    keep: dict[str, int],
    stored: int,
) -> list[Instruction]:
    """`x` behind loads of whole halves from different lines, before stores of all of C, `stored` of
    which there are already."""
    line, found = config.line_bytes, list[Instruction]()
    whole_a, whole_b = (half_lines(config, each) for each in (Opcode.LOAD_A, Opcode.LOAD_B))
    whole_index = half_lines(config, Opcode.LOAD_B, index=True)
    for o, i in parts_of(rng, halves_of(x, "a") - held["a"]):
        at = rng.randrange(OPERANDS, INDICES - 1000) * line
        strides = {"outer_stride": line, "inner_stride": 7 * line}
        found.append(LoadA(address=at, lines=whole_a, outer=o, inner=i, **strides))
    for o, i in parts_of(rng, halves_of(x, "b") - held["b"]):
        at, index = (rng.randrange(low, low + 1000) * line for low in (OPERANDS, INDICES))
        found.append(
            LoadB(
                address=at, lines=whole_b, outer=o, inner=i, outer_stride=line,
                inner_stride=7 * line, index_address=index, index_lines=whole_index,
                index_outer_stride=line, index_inner_stride=3 * line,
            )
        )  # fmt: skip
    found.append(x)
    rows = half_rows_c(config)
    size = rows * config.cols * 4
    for o, i in parts_of(rng, halves_of(x, "c") - keep["c"]):
        at = RESULTS * line + stored * size
        strides = {"outer_stride": i * size, "inner_stride": size}
        found.append(Store(address=at, rows=rows, wide=1, outer=o, inner=i, **strides))
        stored += o * i
    return found
