"""What must hold of every program, whatever the values: results are stored once, tensors that live
at the same time lie apart, engines never wait for one another for good, memory moves the lines that
instructions name, every parameter is updated once, after its gradient. Whole steps equal the golden
model, too."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sparsat.dataflow.capture import capture
from sparsat.dataflow.ir import Conv, MatMul, Step, Update
from sparsat.dataflow.models import load_model
from sparsat.dataflow.nests import Pair, Reduce
from sparsat.dataflow.schedule import SCHEDULES, Planned, Scheduled, schedule_step
from sparsat.hw.config import SATConfig, preset
from sparsat.hw.isa import instructions as isa
from sparsat.hw.isa.semaphores import check_semaphores
from sparsat.hw.isa.validate import validate
from sparsat.sim.machine import run
from sparsat.sim.values import check_step
from steps import CONFIGS, conv_step, convs, product_step

ODD_NET = Path(__file__).parents[1] / "support" / "odd_net.py"
properties = settings(max_examples=40, deadline=None)


def scheduled_or_reject(config: SATConfig, step: Step, schedule: str) -> Scheduled:
    try:
        return schedule_step(config, step, SCHEDULES[schedule], (2, 8))
    except ValueError as error:
        if "does not fit" not in str(error):
            raise
        reject()


def stored(config: SATConfig, op: isa.Store) -> np.ndarray:
    """Address of every byte that a STORE writes, as often as it does."""
    row = config.cols * (4 if op.wide else 2)
    loops = [
        (op.outer, op.outer_stride), (op.inner, op.inner_stride), (op.d3_count, op.d3_stride),
        (op.d2_count, op.d2_stride), (op.d1_count, op.d1_stride), (op.rows, row), (row, 1),
    ]  # fmt: skip
    places = np.array([op.address])
    for count, stride in loops:
        places = (places[:, None] + np.arange(count) * stride).reshape(-1)
    return places


def lines_stored(config: SATConfig, op: isa.Store) -> int:
    """Writes of a line or less: those of a chunk that lie side by side within a line are one."""
    places = stored(config, op).reshape(op.outer * op.inner, -1)
    apart = (np.diff(places) != 1) | (np.diff(places // config.line_bytes) != 0)
    return len(places) + int(np.count_nonzero(apart))


def results(planned: Planned) -> tuple[int, int]:
    """Address and bytes of what a product makes."""
    assert planned.plan is not None
    nest = planned.plan.nest
    if isinstance(nest, Reduce):
        return planned.at.out, 4 * nest.weights.elements * nest.products
    return planned.at.out, nest.out.bytes


def check_program(config: SATConfig, scheduled: Scheduled) -> None:
    check_stored_once(config, scheduled)
    check_apart(scheduled)
    validate(config, scheduled.program, scheduled.memory_bytes)
    check_semaphores(scheduled.program)
    check_moved(config, scheduled)


def check_stored_once(config: SATConfig, scheduled: Scheduled) -> None:
    for number, planned in enumerate(scheduled.plans):
        if planned.plan is None:
            continue
        first, size = results(planned)
        times = np.zeros(size, np.int64)
        for each in scheduled.program:
            if isinstance(each, isa.Store) and each.op == number:
                places = stored(config, each) - first
                assert 0 <= places.min() <= places.max() < size, planned.op.name
                np.add.at(times, places, 1)
        assert times.max() == 1, planned.op.name


def check_apart(scheduled: Scheduled) -> None:
    """Each region with the first and the last operation that needs it."""
    lives: dict[str, tuple[int, int]] = {}
    for number, planned in enumerate(scheduled.plans):
        for name in (*planned.op.reads, *planned.op.writes, planned.site.b):
            lives[name] = lives.get(name, (number, 0))[0], number
    always = (0, len(scheduled.plans))
    found: dict[tuple[str, int], tuple[int, tuple[int, int]]] = {}
    for name, address, size in regions(scheduled):
        before, _ = found.get((name, address), (0, always))
        found[name, address] = max(size, before), lives.get(name, always)
    ordered = sorted((address, size, life, name) for (name, address), (size, life) in found.items())
    for index, (address, size, (born, dead), name) in enumerate(ordered):
        assert address + size <= scheduled.memory_bytes
        for other, _, (other_born, other_dead), other_name in ordered[index + 1 :]:
            if other >= address + size:
                break
            assert dead < other_born or other_dead < born, (name, other_name)


def regions(scheduled: Scheduled) -> Iterator[tuple[str, int, int]]:
    """Name, address and bytes of all that lies in memory, tensors by their names in the step."""
    for planned in scheduled.plans:
        site, at = planned.site, planned.at
        if planned.plan is not None:
            nest = planned.plan.nest
            yield site.a, at.a, (nest.data if isinstance(nest, Reduce) else nest.a).bytes
            if isinstance(nest, Reduce | Pair):
                yield site.b, at.b, (nest.gradient if isinstance(nest, Reduce) else nest.b).bytes
            yield planned.op.writes[0], *results(planned)
    for each in scheduled.program:
        if isinstance(each, isa.Update):
            yield from update_regions(each, scheduled.plans[each.op])


def update_regions(op: isa.Update, planned: Planned) -> Iterator[tuple[str, int, int]]:
    layer, weights = planned.op.layer, planned.site.weights
    if weights is None:
        size = 4 * op.out_blocks * preset("tiny").block ** 2
        for kind in ("master", "momentum", "gradient"):
            yield f"{planned.op.name} {kind}", getattr(op, kind), size
        return
    for kind in ("master", "momentum", "new_master", "new_momentum"):
        yield f"{layer} {kind}", getattr(op, kind), 4 * weights.elements
    values = weights.copy_rows(op.n, op.m) * weights.config.cols
    for copy in ("forward", "backward"):
        yield f"{layer} {copy}", getattr(op, copy), 2 * values
        if op.n < op.m:
            yield f"{layer} {copy} index", getattr(op, f"{copy}_index"), values // 2


def check_moved(config: SATConfig, scheduled: Scheduled) -> None:
    """The machine comes to its end, having moved the lines that instructions name and no others."""
    rows = run(config, scheduled.program, "fixed").instructions
    for each, row in zip(scheduled.program, rows, strict=True):
        if isinstance(each, isa.LoadA | isa.LoadB):
            lines = each.lines + getattr(each, "index_lines", 0)
            assert row["read"] == each.outer * each.inner * each.segments * lines
        if isinstance(each, isa.Store):
            assert row["written"] == lines_stored(config, each)


schedules, configs = st.sampled_from(sorted(SCHEDULES)), st.sampled_from(sorted(CONFIGS))


@properties
@given(convs(), configs, schedules)
def test_layers(work: Conv, config: str, schedule: str) -> None:
    step = conv_step(work)
    check_program(CONFIGS[config], scheduled_or_reject(CONFIGS[config], step, schedule))


@properties
@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.tuples(*(st.integers(1, 40),) * 3),
    st.sampled_from([(False, False), (False, True), (True, False)]),
    schedules,
)
def test_attention(images: int, heads: int, sizes: tuple[int, int, int], turned, schedule) -> None:
    step = product_step(MatMul(images * heads, *sizes, *turned), images)
    check_program(preset("tiny"), scheduled_or_reject(preset("tiny"), step, schedule))


class Shared(nn.Module):
    """A convolution at two sizes, a depthwise one, an LSTM, attention across, a tied table."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.depthwise = nn.Conv2d(4, 16, 3, padding=1), nn.Conv2d(16, 16, 3, groups=16)
        self.narrow = nn.Conv2d(16, 4, 1)
        self.lstm = nn.LSTM(16, 16, batch_first=True)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.table = nn.Embedding(24, 16)
        self.head = nn.Linear(16, 24, bias=False)
        self.head.weight = self.table.weight

    def forward(self, image: Tensor, tokens: Tensor) -> Tensor:
        x = self.conv(self.narrow(self.conv(image)[..., ::2, ::2]))
        x = self.depthwise(x).flatten(2).transpose(1, 2)
        x = self.attention(self.lstm(self.table(tokens))[0], x, x)[0]
        return self.head(x)


class OneProjection(nn.Module):
    """Attention whose queries, keys and values are slices of one tensor, written as einsum."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.head = nn.Linear(16, 48), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part.unflatten(2, (2, 8)) for part in self.qkv(x).chunk(3, -1))
        scores = torch.einsum("bihd,bjhd->bhij", q, k).softmax(-1)
        return self.head(torch.einsum("bhij,bjhd->bihd", scores, v).flatten(2))


class Translator(nn.Module):
    """PyTorch's own transformer, encoder and decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(20, 16), nn.Linear(16, 20)
        self.transformer = nn.Transformer(16, 2, 1, 1, 32, batch_first=True)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        return self.head(self.transformer(self.table(source), self.table(target)))


def tokens(count: int) -> Tensor:
    return torch.zeros(2, count, dtype=torch.long)


NETS = {
    "odd": lambda: capture(*load_model(f"{ODD_NET}:build", 3)[1]()),
    "shared": lambda: capture(Shared(), (torch.empty(2, 4, 12, 12), tokens(3))),
    "one projection": lambda: capture(OneProjection(), torch.empty(2, 6, 16)),
    "transformer": lambda: capture(Translator(), (tokens(7), tokens(5))),
}


@pytest.mark.parametrize("net", NETS)
def test_whole_steps(net: str) -> None:
    config, step = preset("tiny"), NETS[net]()
    for schedule in ("optimal", "online-sore"):
        scheduled = schedule_step(config, step, SCHEDULES[schedule], (2, 8))
        check_program(config, scheduled)
        check_updates(step, scheduled)
        assert [str(found) for found in check_step(config, scheduled) if found] == []


def check_updates(step: Step, scheduled: Scheduled) -> None:
    """After its gradient, every parameter is updated whole."""
    updated: dict[str, int] = {}
    made: set[str] = set()
    for planned in scheduled.plans:
        work = planned.op.work
        if isinstance(work, Update):
            weight, gradient = planned.op.reads
            assert gradient in made, planned.op.name
            updated[weight] = updated.get(weight, 0) + work.elements
        else:
            made.update(planned.op.writes)
    assert updated == {
        op.reads[0]: op.work.elements for op in step.ops if isinstance(op.work, Update)
    }


def test_each_parity_reads_the_set_that_the_other_one_writes() -> None:
    config, step = preset("tiny"), NETS["odd"]()
    both = [
        schedule_step(config, step, SCHEDULES["optimal"], (2, 8), parity=parity)
        for parity in (0, 1)
    ]
    loads = 0
    for own, other in (both, both[::-1]):
        written = list(copies_written(other))
        for each, like in zip(own.program, other.program, strict=True):
            changed = {name for name, value in vars(each).items() if value != getattr(like, name)}
            if isinstance(each, isa.Update) and isinstance(like, isa.Update):
                assert (each.master, each.momentum) == (like.new_master, like.new_momentum)
                assert each.gradient == like.gradient
            else:
                assert changed <= {"address", "index_address"}
            if isinstance(each, isa.LoadB):
                for at in (getattr(each, name) for name in changed):
                    assert any(first <= at < end for first, end in written)
                loads += len(changed)
    assert loads > 20
    cycles = {run(config, each.program, "fixed").cycles for each in both}
    assert len(cycles) == 1


def copies_written(scheduled: Scheduled) -> Iterator[tuple[int, int]]:
    """First byte of the operand copies that updates write, and the one behind."""
    for each in scheduled.program:
        if isinstance(each, isa.Update):
            for name, at, size in update_regions(each, scheduled.plans[each.op]):
                if "ward" in name:
                    yield at, at + size
