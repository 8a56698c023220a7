"""Layers to verify: random ones, and those of a model cut to a size that hardware simulates."""

import random
from collections.abc import Iterator
from dataclasses import replace

from sparsat.dataflow.ir import Conv, Layer, MatMul, Op, Step, Tensor, Update
from sparsat.dataflow.schedule import SCHEDULES
from sparsat.hw.config import GROUP_SIZES, SATConfig

Pattern = tuple[int, int]
MOST_CHANNELS, MOST_PIXELS, MOST_IMAGES, MOST_TOKENS, MOST_HEADS = 32, 8, 2, 24, 2
"""A model's layers are cut to these."""
LIMITS = (
    f"layers cut to {MOST_CHANNELS} channels, {MOST_PIXELS} × {MOST_PIXELS} pixels, "
    f"{MOST_IMAGES} images, {MOST_HEADS} heads, {MOST_TOKENS} tokens at most"
)


def step_of(work: Conv | MatMul, *, first: bool = False, images: int = 1) -> Step:
    """A step of one layer: its forward pass, its gradients, the update of its weights."""
    if isinstance(work, MatMul):
        tensors = tuple(Tensor(name, (1,), 4, "activation") for name in "abc")
        op = Op("product", "", "FF", ("a", "b"), ("c",), work)
        return Step("layer", images, tensors, (), (op,))
    layer = Layer("layer", "w", work, prunable=True, first=first, head=False)
    ops = [Op("FF", "layer", "FF", ("x", "w"), ("y",), work)]
    if not first:
        ops.append(Op("BP", "layer", "BP", ("dy", "w"), ("dx",), work))
    ops.append(Op("WU", "layer", "WU", ("dy", "x"), ("dw",), work))
    elements = work.kh * work.kw * work.ci * work.co // work.groups
    update = Update(elements, prunable=True)
    ops.append(Op("UPDATE", "layer", "UPDATE", ("w", "dw"), ("w",), update))
    tensors = tuple(Tensor(n, (1,), 4, "activation") for n in ("x", "w", "y", "dy", "dx", "dw"))
    return Step("layer", work.n, tensors, (layer,), tuple(ops))


def random_step(rng: random.Random, config: SATConfig) -> tuple[Step, str, Pattern | None]:
    """A layer, a schedule, a pattern; equal seeds draw equal ones."""
    schedule = rng.choice(sorted(SCHEDULES))
    if rng.random() < 0.2:
        images = rng.randint(1, 2)
        p, k, q = (rng.randint(1, 30) for _ in range(3))
        a_turned, b_turned = rng.choice([(False, False), (False, True), (True, False)])
        work = MatMul(images * rng.randint(1, 3), p, k, q, a_turned, b_turned)
        return step_of(work, images=images), schedule, None
    return _random_conv(rng, config, schedule)


def _random_conv(
    rng: random.Random, config: SATConfig, schedule: str
) -> tuple[Step, str, Pattern | None]:
    kh, kw = rng.choice([1, 1, 3, 3, 5]), rng.choice([1, 3, 3])
    stride = rng.choice([(1, 1), (1, 1), (2, 2), (2, 1)])
    padding = rng.choice([(0, 0), (kh // 2, kw // 2), (1, 1)])
    dilation = rng.choice([(1, 1), (1, 1), (2, 2), (1, 2), (2, 1)])
    h, w = (rng.randint(reach, 9) for reach in _reach((kh, kw), dilation))
    oh, ow = _out((h, w), (kh, kw), stride, padding, dilation)
    pattern = _random_pattern(rng, config)
    unit = pattern[1] if pattern else rng.choice([1, 2, 8])
    ci, co = (unit * rng.randint(1, max(40 // unit, 1)) for _ in range(2))
    conv = Conv(rng.randint(1, 3), h, w, ci, oh, ow, co, kh, kw, stride, padding, dilation)
    return step_of(conv, first=rng.random() < 0.1), schedule, pattern


def _random_pattern(rng: random.Random, config: SATConfig) -> Pattern | None:
    """Any that prunes, or none."""
    if rng.random() < 0.2:
        return None
    m = rng.choice([size for size in GROUP_SIZES if size <= config.m_max])
    return rng.randrange(1, m), m


def kinds_of(step: Step) -> Iterator[tuple[str, Step]]:
    """The different layers of a model, by the name of the first that is like it, cut down."""
    seen: set[tuple[Step, bool]] = set()
    for op in step.ops:
        if op.stage != "FF" or not isinstance(op.work, Conv | MatMul):
            continue
        first = op.layer in step.layer and step.layer[op.layer].first
        work = _smaller(op.work)
        images = min(step.batch, MOST_IMAGES) if isinstance(work, MatMul) else 1
        cut = step_of(work, first=first, images=images)
        if (cut, first) not in seen:
            seen.add((cut, first))
            yield op.name, cut


def _smaller(work: Conv | MatMul) -> Conv | MatMul:
    if isinstance(work, MatMul):
        sizes = {name: min(getattr(work, name), MOST_TOKENS) for name in ("p", "k", "q")}
        return replace(work, batch=MOST_IMAGES * MOST_HEADS, **sizes)
    work = work.mirrored() if work.transposed else work
    n, groups = min(work.n, MOST_IMAGES), min(work.groups, 4)
    ci, co = (min(c // work.groups, MOST_CHANNELS // groups) * groups for c in (work.ci, work.co))
    reach = _reach((work.kh, work.kw), work.dilation)
    h, w = (min(size, max(MOST_PIXELS, r)) for size, r in zip((work.h, work.w), reach, strict=True))
    oh, ow = _out((h, w), (work.kh, work.kw), work.stride, work.padding, work.dilation)
    return replace(work, n=n, h=h, w=w, ci=ci, co=co, oh=oh, ow=ow, groups=groups)


def _reach(kernel, dilation) -> list[int]:
    """Pixels from a kernel's first to its last, both counted."""
    return [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]


def _out(size, kernel, stride, padding, dilation) -> tuple[int, int]:
    found = [
        (s + 2 * p - r) // t + 1
        for s, r, t, p in zip(size, _reach(kernel, dilation), stride, padding, strict=True)
    ]
    return found[0], found[1]
