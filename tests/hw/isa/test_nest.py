"""The closed forms against loops."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsat.hw.isa.nest import Dim, Window, padded_span, prefix, span

few = st.integers(-3, 3)
dims = st.builds(
    Dim, turns=st.integers(1, 4), step=st.integers(-20, 20), y=few, x=few, first=st.integers(0, 3)
)
plain = dims.map(lambda dim: dim._replace(x=0)) | dims.map(lambda dim: dim._replace(y=0))
nests = st.lists(st.one_of(dims, plain), max_size=5)
windows = st.builds(
    Window,
    y=st.integers(-5, 5),
    x=st.integers(-5, 5),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
)


def run(nest):
    """All (address, y, x)."""
    for index in product(*(range(dim.first, dim.first + dim.turns) for dim in nest)):
        yield tuple(
            sum(i * move for i, move in zip(index, moves, strict=True))
            for moves in zip(*((d.step, d.y, d.x) for d in nest), strict=True)
        ) or (0, 0, 0)


@given(st.integers(-50, 50), nests)
def test_span(base, nest):
    addresses = [base + address for address, _, _ in run(nest)]
    assert span(base, nest) == (min(addresses), max(addresses))


@given(st.integers(-50, 50), nests, windows)
def test_padded_span(base, nest, window):
    addresses = [
        base + address
        for address, y, x in run(nest)
        if 0 <= window.y + y < window.height and 0 <= window.x + x < window.width
    ]
    expected = (min(addresses), max(addresses)) if addresses else None
    assert padded_span(base, nest, window) == expected


@given(st.integers(0, 60), st.integers(1, 5), st.integers(1, 5))
def test_a_prefix_is_all_numbers_below_the_total_once(total, d0_count, d1_count):
    numbers = [
        d0 + d0_count * (d1 + d1_count * d2)
        for box in prefix(total, d0_count, d1_count)
        for d0, d1, d2 in product(*(range(first, first + count) for first, count in box))
    ]
    assert sorted(numbers) == list(range(total))


def test_long_dimensions_take_no_time():
    window = Window(-1, -1, 1 << 20, 1 << 20)
    rows, columns = Dim(1 << 24, 1 << 20, y=1), Dim(1 << 24, 3, x=1)
    taps = [Dim(3, 1 << 20, y=1), Dim(3, 3, x=1)]
    first, last = (1 << 20) + 3, (1 << 40) + 3 * (1 << 20)
    assert padded_span(0, [rows, columns, *taps], window) == (first, last)


def test_too_many_combinations_are_refused():
    wild = [Dim(1 << 11, 1, 1, 1), Dim(1 << 11, 1, 1, 1)]
    with pytest.raises(ValueError, match=r"^4194304 combinations of y and x, at most 1048576 are"):
        padded_span(0, wild, Window(0, 0, 1, 1))
