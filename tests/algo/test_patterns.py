"""N:M patterns: validation, selection, masks along any axis, packing."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsat.algo.patterns import NMPattern, _mask_by_sort

patterns = st.sampled_from([4, 8, 16]).flatmap(
    lambda m: st.builds(NMPattern, st.integers(1, m), st.just(m))
)
# few distinct magnitudes, so ties are common
entries = st.sampled_from([0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 2.0, math.inf, -math.inf, math.nan])


def kept_by_definition(group: list[float], n_keep: int) -> list[int]:
    """Larger magnitude first, NaN above all, a tie to the lower index."""

    def rank(i: int) -> tuple[float, int]:
        magnitude = abs(group[i])
        return (-2.0 if math.isnan(magnitude) else -1.0 + 1 / (2 + magnitude), i)

    return sorted(sorted(range(len(group)), key=rank)[:n_keep])


@given(patterns, st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_mask_is_the_definition(pattern: NMPattern, data: st.DataObject) -> None:
    groups = data.draw(
        st.lists(st.lists(entries, min_size=pattern.m, max_size=pattern.m), min_size=1, max_size=5)
    )
    w = torch.tensor(groups)
    expected = torch.zeros_like(w, dtype=torch.bool)
    for row, group in enumerate(groups):
        expected[row, kept_by_definition(group, pattern.n_keep)] = True
    assert torch.equal(pattern.mask(w, 1), expected)
    assert torch.equal(pattern.mask(w.t().contiguous(), 0), expected.t())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(16, 48), (32, 16, 3, 3), (16,), (2, 3, 16, 5)])
def test_kernel_and_sort_agree_along_every_axis(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    w = (torch.randn(shape, generator=torch.manual_seed(0)) * 4).round().to(dtype)
    for dim in (d for d in range(-len(shape), len(shape)) if shape[d] % 16 == 0):
        for pattern in (NMPattern(1, 4), NMPattern(2, 8), NMPattern(5, 16)):
            expected = _mask_by_sort(w, dim, pattern.n_keep, pattern.m)
            assert torch.equal(pattern.mask(w, dim), expected)


@given(patterns, st.integers(1, 3), st.integers(1, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_packing_round_trips(pattern: NMPattern, groups: int, others: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    w = torch.randint(-2, 3, (groups * pattern.m, others), generator=generator).half()
    values, indices = pattern.pack(w, 0)
    assert values.shape == indices.shape == (others, groups, pattern.n_keep)
    assert indices.dtype == torch.uint8
    assert bool((indices.int().diff(dim=-1) > 0).all())
    assert torch.equal(pattern.unpack(values, indices, 0), pattern.prune(w, 0))


def test_pack_keeps_zeros() -> None:
    values, indices = NMPattern(2, 4).pack(torch.zeros(1, 4))
    assert values.tolist() == [[[0.0, 0.0]]]
    assert indices.tolist() == [[[0, 1]]]


def test_pack_masked_refuses_a_wrong_count() -> None:
    with pytest.raises(ValueError, match="does not keep exactly 2"):
        NMPattern(2, 4).pack_masked(torch.ones(1, 4), torch.tensor([[True, False, False, False]]))


def test_prune_drops_infinities_without_making_nan() -> None:
    w = torch.tensor([math.inf, math.nan, 1.0, math.inf])
    assert torch.equal(NMPattern(1, 4).prune(w).isnan(), torch.tensor([False, True, False, False]))


@pytest.mark.parametrize(
    ("text", "expected"), [("2:8", (2, 8)), (" 1 : 4 ", (1, 4)), ("dense", (8, 8))]
)
def test_parse(text: str, expected: tuple[int, int]) -> None:
    assert NMPattern.parse(text) == NMPattern(*expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3:5", "m is 5; allowed: 4, 8 or 16"),
        ("9:8", "n_keep is 9; allowed: 1..8"),
        ("0:8", "n_keep is 0; allowed: 1..8"),
        ("2-8", "pattern is '2-8'; allowed: \"N:M\""),
        ("-2:8", "pattern is '-2:8'"),
    ],
)
def test_bad_patterns_are_named(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NMPattern.parse(text)


def test_indivisible_dimension_is_refused() -> None:
    with pytest.raises(ValueError, match="dimension is 12; allowed: a multiple of m = 8"):
        NMPattern(2, 8).mask(torch.zeros(4, 12), 1)


def test_density_and_storage() -> None:
    assert str(NMPattern(2, 8)) == "2:8"
    assert str(NMPattern(8, 8)) == "dense"
    assert NMPattern(2, 8).density == 0.25
    assert NMPattern(2, 8).storage_bits(64) == 16 * (16 + 3)
    assert NMPattern(8, 8).storage_bits(64) == 64 * 16


def test_kernels_leave_torchs_threads_alone() -> None:
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            w = torch.randn(1024, 1024, generator=torch.Generator().manual_seed(0))
            assert int(NMPattern(2, 8).mask(w).sum()) == 1024 * 256
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
