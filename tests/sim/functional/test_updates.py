"""UPDATE against plain numpy float32, and the operands it leaves for the next step."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from machine_layout import Image, masters, operand_rows
from sparsat.algo.patterns import NMPattern
from sparsat.hw.array_op import log_m_of
from sparsat.hw.config import SATConfig, preset
from sparsat.hw.isa.instructions import Halt, Update
from sparsat.sim.functional import run

F = np.float32
SCALARS = {"rate": 0.1, "momentum_factor": 0.9, "decay": 5e-4, "inverse_scale": 1 / 1024}


def bits(x: float) -> int:
    return int(F(x).view(np.uint32))


@dataclass
class Case:
    """A tensor of weights [taps, inputs, outputs] in memory, and what UPDATE shall do."""

    config: SATConfig
    pattern: NMPattern
    shape: tuple[int, int, int]
    scalars: dict[str, float]

    def __post_init__(self) -> None:
        rng = np.random.default_rng(5)
        self.w, self.v, self.g = (rng.standard_normal(self.shape, F) for _ in range(3))
        self.g *= F(1024)

    def run(
        self, copies: bool = True, in_place: bool = False
    ) -> tuple[np.ndarray, dict[str, int], bool]:
        """Memory afterwards, the tensors' addresses, and the overflow flag."""
        image = Image(self.config)
        update = self.put(image, copies, in_place)
        memory = image.memory()
        overflow = run(self.config, [update, Halt()], memory).overflow
        return memory, vars(update), overflow

    def put(self, image: Image, copies: bool = True, in_place: bool = False) -> Update:
        """The tensors in memory, and the instruction."""
        block = self.config.block
        taps, inputs, outputs = self.shape
        at = {
            name: image.put(masters(self.config, torch.from_numpy(x)))
            for name, x in (("master", self.w), ("momentum", self.v), ("gradient", self.g))
        }
        for name in ("master", "momentum"):
            at[f"new_{name}"] = at[name] if in_place else image.room(4 * self.w.size)
        for name, reduced, columns in (
            ("forward", taps * inputs, outputs),
            ("backward", taps * outputs, inputs),
        ):
            kept = self.block_rows(reduced) * columns
            at[name], at[f"{name}_index"] = image.room(2 * kept), image.room(kept // 2)
        return Update(
            **at,
            copies=int(copies),
            n=self.pattern.n_keep,
            log_m=log_m_of(self.pattern.m),
            taps=taps,
            in_blocks=inputs // block,
            out_blocks=outputs // block,
            **{name: bits(value) for name, value in self.scalars.items()},
        )

    def block_rows(self, reduced: int) -> int:
        """Rows of a block of columns: the kept ones, and room up to a whole line."""
        row_bytes = self.config.cols * 2 if self.pattern.is_dense else self.config.cols // 2
        per_line = self.config.line_bytes // row_bytes
        return -(-reduced * self.pattern.n_keep // (self.pattern.m * per_line)) * per_line

    def expected(self, decayed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """New weights and momentum; `decayed` is True where the masked decay acts."""
        scalar = {name: F(value) for name, value in self.scalars.items()}
        g = self.g * scalar["inverse_scale"]
        if decayed is not None:
            g = np.where(decayed, g + scalar["masked_decay"] * self.w, g)
        g = g + scalar["decay"] * self.w
        v = scalar["momentum_factor"] * self.v + g
        return self.w - scalar["rate"] * v, v


def assert_plane(memory: np.ndarray, at: int, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(memory[at : at + len(expected)], expected)


def assert_masters(case: Case, memory: np.ndarray, at: dict, w: np.ndarray, v: np.ndarray) -> None:
    """The new ones; old ones elsewhere are as they were."""
    assert_plane(memory, at["new_master"], masters(case.config, torch.from_numpy(w)))
    assert_plane(memory, at["new_momentum"], masters(case.config, torch.from_numpy(v)))
    if at["new_master"] != at["master"]:
        assert_plane(memory, at["master"], masters(case.config, torch.from_numpy(case.w)))
        assert_plane(memory, at["momentum"], masters(case.config, torch.from_numpy(case.v)))


def assert_copies(case: Case, memory: np.ndarray, at: dict, w: np.ndarray) -> None:
    half = torch.from_numpy(w).half()
    for name, operand in (
        ("forward", half.flatten(0, 1)),
        ("backward", half.transpose(1, 2).flatten(0, 1)),
    ):
        cols, rows = case.config.cols, case.block_rows(len(operand))
        for number, block in enumerate(operand.split(cols, 1)):
            values, indices = operand_rows(case.config, block, case.pattern)
            assert_plane(memory, at[name] + number * rows * cols * 2, values)
            if case.pattern.is_dense:
                indices[:] = 0xFF
            assert_plane(memory, at[f"{name}_index"] + number * rows * cols // 2, indices)


def forward_mask(w: np.ndarray, pattern: NMPattern) -> np.ndarray:
    half: Tensor = torch.from_numpy(w).half()
    return pattern.mask(half, dim=1).numpy()


TINY, SMALL = preset("tiny"), preset("small")
CARD_LIKE = SMALL.with_(cols=32, channels=2)


@pytest.mark.parametrize(
    ("config", "pattern", "shape"),
    [
        (TINY, NMPattern(2, 8), (9, 16, 32)),
        (SMALL, NMPattern(3, 4), (1, 32, 16)),
        (CARD_LIKE, NMPattern(5, 16), (2, 64, 32)),
    ],
)
def test_sparse(config: SATConfig, pattern: NMPattern, shape: tuple[int, int, int]) -> None:
    case = Case(config, pattern, shape, {**SCALARS, "masked_decay": 0.01})
    memory, at, overflow = case.run()
    w, v = case.expected(decayed=~forward_mask(case.w, pattern))
    assert_masters(case, memory, at, w, v)
    assert_copies(case, memory, at, w)
    assert not overflow


def test_dense_has_no_masked_decay_and_no_indices() -> None:
    case = Case(TINY, NMPattern(8, 8), (4, 32, 16), {**SCALARS, "masked_decay": 0.01})
    memory, at, _ = case.run()
    w, v = case.expected()
    assert_masters(case, memory, at, w, v)
    assert_copies(case, memory, at, w)


def test_without_copies_only_masters_change() -> None:
    case = Case(TINY, NMPattern(2, 8), (1, 16, 16), {**SCALARS, "masked_decay": 0.01})
    memory, at, _ = case.run(copies=False)
    assert_masters(case, memory, at, *case.expected())
    assert (memory[at["forward"] :] == 0xFF).all()


def test_the_mask_is_that_of_the_rounded_weights() -> None:
    """Where two weights meet in FP16 the lower index wins, although its FP32 is smaller."""
    case = Case(TINY, NMPattern(1, 4), (1, 16, 16), {**SCALARS, "masked_decay": 0.5})
    case.w[:] = 1 + np.arange(16, dtype=F)[:, None] * F(2**-20)
    memory, at, _ = case.run()
    decayed = np.broadcast_to(np.arange(16)[:, None] % 4 > 0, case.w.shape)
    assert_masters(case, memory, at, *case.expected(decayed))


def test_the_new_ones_may_replace_the_old_ones() -> None:
    case = Case(TINY, NMPattern(2, 8), (2, 16, 32), {**SCALARS, "masked_decay": 0.01})
    memory, at, _ = case.run(in_place=True)
    w, v = case.expected(decayed=~forward_mask(case.w, case.pattern))
    assert_masters(case, memory, at, w, v)
    assert_copies(case, memory, at, w)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_overflow_is_told_and_goes_on(bad: float) -> None:
    case = Case(TINY, NMPattern(2, 8), (2, 16, 32), SCALARS)
    case.g[1, 15, 31] = bad
    memory, at, overflow = case.run()
    assert overflow
    with np.errstate(invalid="ignore"):
        w, v = case.expected()
    w[np.isnan(w)], v[np.isnan(v)] = np.nan, np.nan
    assert_masters(case, memory, at, w, v)
    assert_copies(case, memory, at, w)


def test_overflow_stays_until_the_end_of_the_program() -> None:
    bad, good = (Case(TINY, NMPattern(8, 8), (1, 16, 16), SCALARS) for _ in range(2))
    bad.g[:] = np.inf
    for cases, expected in (((good, good), False), ((bad, good), True), ((good, bad), True)):
        image = Image(TINY)
        program = [*(case.put(image) for case in cases), Halt()]
        assert run(TINY, program, image.memory()).overflow == expected


def test_tiny_results_become_zero_and_nan_has_one_form() -> None:
    """v = (1 - 2^-23) · v: what rounds to less than 2^-126 is +0, as subnormals are when read."""
    scalars = {"rate": 0.0, "momentum_factor": 1 - 2**-23, "decay": 0.0, "inverse_scale": 1.0}
    case = Case(TINY, NMPattern(8, 8), (1, 16, 16), scalars)
    case.g[:], case.w[:] = 0, 1
    smallest = F(2**-126)
    next_up = F(2**-126 * (1 + 2**-23))
    case.v[0, 0, :4] = smallest, -smallest, next_up, -next_up
    case.v[0, 1, :4] = F(2**-127), F(-0.0), np.inf, -np.inf
    case.v[0, 2, :1].view(np.uint32)[:] = 0xFFC00001
    memory, at, _ = case.run()
    v, w = (
        memory[at[name] : at[name] + 1024].view(np.uint32).reshape(-1, 4)
        for name in ("new_momentum", "new_master")
    )
    assert v[0].tolist() == [0, 0, 0x00800000, 0x80800000]
    assert v[1].tolist() == [0, 0, 0x7F800000, 0xFF800000]
    assert v[2, 0] == w[2, 0] == 0x7FC00000
    assert w[0].tolist() == [bits(1.0)] * 4
    assert w[1].tolist() == [bits(1.0)] * 2 + [0x7FC00000] * 2
