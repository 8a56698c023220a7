"""Random EXECs with few, small loops, in which every kind of address and padding occurs."""

import random
from dataclasses import replace

from sparsat.hw.config import SATConfig
from sparsat.hw.isa.instructions import Advance, Exec, Halt
from sparsat.hw.isa.site import half_rows_b
from sparsat.hw.isa.validate import validate
from sparsat.hw.timing import array_cycles
from sparsat.sim.engines.decoded import array_op

MOST_CYCLES = 500
"""Of a few EXECs, so that they can be stepped through one by one."""
KINDS = ((2, 0), (4, 1), (8, 2), (1, 1), (2, 2), (3, 2))
"""(n, log_m), the dense ones first."""


def random_execs(rng: random.Random, config: SATConfig) -> list[Exec]:
    """A few that `validate` passes, which may hold the halves of B and C that others kept."""
    while True:
        execs = [random_exec(rng, config) for _ in range(rng.randint(1, 3))]
        for first, second in zip(range(len(execs)), range(1, len(execs)), strict=False):
            for half in "bc":
                if rng.random() < 0.4:
                    execs[first] = replace(execs[first], **{f"{half}_keep": 1})
                    execs[second] = replace(execs[second], **{f"{half}_held": 1})
            if execs[second].c_held and rng.random() < 0.7:
                execs[second] = replace(execs[second], resume=1, c_advance=Advance.ONCE)
        try:
            validate(config, [*execs, Halt()])
        except ValueError:
            continue
        if sum(_least_cycles(config, e) for e in execs) < MOST_CYCLES:
            return execs


def _least_cycles(config: SATConfig, e: Exec) -> int:
    """Without what chunks and operations wait for."""
    op, chunks = array_op(e, resumed=True), e.outer * e.inner
    return chunks * (e.passes if e.ws else 1) * array_cycles(config, op)


def random_exec(rng: random.Random, config: SATConfig) -> Exec:
    """Its words of A are all the same one; it may reach beyond the halves of B and C."""
    n, log_m = rng.choice(KINDS)
    dense, ws = n == 2 << log_m, rng.random() < 0.4
    a_mn = dense and rng.random() < 0.5
    shapes = [(ir, is_) for ir in (1, 2, 4) for is_ in (1, 2, 3) if is_ * n <= 16]
    ir, is_ = rng.choice(shapes)
    few, more, step = (lambda: rng.randint(1, 3)), (lambda: rng.randint(1, 12)), _step(rng)
    return Exec(
        ws=ws,
        a_mn=a_mn,
        b_mn=dense and rng.random() < 0.5,
        n=n,
        log_m=log_m,
        ir=ir,
        is_=is_,
        least_period=rng.choice([0, 0, 30]),
        outer=rng.randint(1, 2),
        inner=few(),
        **{f"{half}_advance": rng.choice(list(Advance)) for half in "abc"},
        chain=rng.random() < 0.5,
        p=more(),
        tiles_p=1 if ws else rng.choice([1, 2, 3, 5]),
        q_blocks=rng.randint(1, 7),
        tiles_q=rng.choice([1, 2, 3, 4]),
        groups=few(),
        passes=few() if ws else 1,
        k=more(),
        products0=rng.randint(1, 2),
        products1=rng.randint(1, 2),
        **{f"{counter}{d}_count": few() for counter in "kq" for d in (0, 1)},
        b_base=rng.randint(0, half_range(config)),
        **{f"b_{name}": step() for name in ("outer", "product0", "product1")},
        **{f"b_{counter}{d}": step() for counter in "kq" for d in range(3)},
        b_n=0 if a_mn else step(),
        b_last=rng.randrange(n) if dense and not a_mn and rng.random() < 0.5 else 0,
        **{f"b_{name}": rng.randint(-1, 1) for name in ("k0_x", "k1_y", "q1_x", "q2_y", "y_inner")},
        b_y0=rng.randint(-1, 1),
        b_x0=rng.randint(-1, 1),
        b_height=few(),
        b_width=few(),
        c_base=rng.randint(0, 40),
        c_product0=rng.choice([0, -20, 20, 25]),
        c_product1=rng.choice([0, -20, 40, 45]),
        c_p=rng.choice([1, 7, 8, -1]),
        c_q=rng.choice([1, 12, 12, -12]),
    )


def half_range(config: SATConfig) -> int:
    """Rows of half of B among which addresses begin."""
    return half_rows_b(config) - 20


def _step(rng: random.Random):
    return lambda: rng.choice([0, 1, 2, 5, -1, -3])
