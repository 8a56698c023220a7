"""Random UPDATEs on awkward values, alone and between the operations of a layer."""

import random
from dataclasses import replace

import numpy as np

from sparsat.dataflow.schedule import SCHEDULES, schedule_step
from sparsat.hw.array_op import log_m_of
from sparsat.hw.config import GROUP_SIZES, SATConfig
from sparsat.hw.formats import FP32
from sparsat.hw.isa.copies import column_rows
from sparsat.hw.isa.instructions import Halt, Instruction, Sem, Store, Update
from sparsat.sim.verify.layers import random_step

SCALARS = ("rate", "momentum_factor", "decay", "masked_decay", "inverse_scale")


def sizes_of(config: SATConfig, op: Update) -> dict[str, int]:
    """Bytes of each tensor of an UPDATE, whether it uses it or not."""
    block, cols = config.block, config.cols
    wide = 4 * op.taps * op.in_blocks * op.out_blocks * block**2
    names = ("master", "momentum", "gradient", "new_master", "new_momentum")
    sizes = dict.fromkeys(names, wide)
    for side, reduced, across in (
        ("forward", op.in_blocks, op.out_blocks),
        ("backward", op.out_blocks, op.in_blocks),
    ):
        rows = column_rows(config, op.taps * reduced * block, op.n, op.m) * across * block // cols
        sizes |= {side: rows * 2 * cols, f"{side}_index": rows * cols // 2}
    return sizes


def awkward(rng: np.random.Generator, count: int, finite: bool) -> np.ndarray:
    """FP32 of all sizes, with zeros, subnormals and equal ones among them; float32 [count]."""
    low, high = rng.choice([(-3, 2), (-30, 20), (-140, 128)])
    sizes = 2.0 ** rng.integers(low, high, count)
    with np.errstate(over="ignore", under="ignore"):
        values = (rng.standard_normal(count) * sizes).astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        equal = rng.random(count) < rng.choice([0, 0.5])
        values[equal] = rng.choice(np.array([1, -1, 1 + 2**-12, 0.5], np.float32), equal.sum())
    rare = rng.random(count) < rng.choice([0, 0.02, 0.3])
    words = np.array([0, 1 << 31, 1, 0x807FFFFF, 0x00800000], np.uint32)
    if not finite:
        words = np.append(words, np.array([0x7F800000, 0xFF800000, 0x7FC12345], np.uint32))
    values[rare] = rng.choice(words, rare.sum()).view(np.float32)
    if finite:
        values[~np.isfinite(values)] = FP32.smallest_normal
    return values


def random_update(rng: random.Random, config: SATConfig, memory: list[np.ndarray]) -> Update:
    """An UPDATE of tensors that are appended to `memory`, whose parts are whole lines."""
    m = rng.choice([size for size in GROUP_SIZES if size <= config.m_max])
    factors = [0.1, 0.9, 5e-4, 0.5, 2.0**-10, 0.0, 1.0, 3e38, 1e-40]
    op = Update(
        copies=int(rng.random() < 0.8),
        n=rng.choice([m, *range(1, m + 1)]),
        log_m=log_m_of(m),
        taps=rng.choice([1, 1, 2, 3]),
        in_blocks=rng.choice([1, 2, 3]),
        out_blocks=rng.choice([1, 2, 3]),
        transposed=rng.randint(0, 1),
        **{name: int(np.float32(rng.choice(factors)).view(np.uint32)) for name in SCALARS},
    )
    draw = np.random.default_rng(rng.randrange(1 << 32))
    finite = rng.random() < 0.7
    at: dict[str, int] = {}
    sizes = list(sizes_of(config, op).items())
    rng.shuffle(sizes)
    for name, size in sizes:
        gap = rng.choice([0, 0, 1, 5]) * config.line_bytes
        at[name] = sum(map(len, memory)) + gap
        content = draw.integers(0, 256, gap + size + -size % config.line_bytes, np.uint8)
        if name in ("master", "momentum", "gradient"):
            values = awkward(draw, size // 4, finite or name == "momentum")
            content[gap : gap + size] = values.view(np.uint8)
        memory.append(content)
    if rng.random() < 0.2:
        at |= {"new_master": at["master"], "new_momentum": at["momentum"]}
    return replace(op, **at)


def random_updates(rng: random.Random, config: SATConfig) -> tuple[list[Instruction], np.ndarray]:
    """A program of UPDATEs, alone or among the operations of a layer, and memory for it."""
    program: list[Instruction] = [Halt()]
    memory: list[np.ndarray] = []
    if rng.random() < 0.5:
        step, schedule, pattern = random_step(rng, config)
        step = replace(step, ops=(rng.choice([op for op in step.ops if op.stage != "UPDATE"]),))
        scheduled = schedule_step(config, step, SCHEDULES[schedule], pattern)
        program = list(scheduled.program)
        draw = np.random.default_rng(rng.randrange(1 << 32))
        nibbles = draw.integers(0, 4, (2, scheduled.memory_bytes)).astype(np.uint8)
        memory.append(nibbles[0] << 4 | nibbles[1])  # indices of any pattern, and finite
    for _ in range(rng.choice([1, 1, 2, 4])):
        place = rng.randrange(len(program))
        update = random_update(rng, config, memory)
        stores = [i for i, each in enumerate(program[:place]) if type(each) is Store]
        if stores and rng.random() < 0.5:
            last, bit = stores[-1], 1 << Sem.STORE_TO_UPDATE
            if not program[last].signal & bit:
                program[last] = replace(program[last], signal=program[last].signal | bit)
                update = replace(update, wait=bit)
        program.insert(place, update)
    return program, np.concatenate(memory)
