import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sparsat.dataflow.array_gemm import ArrayGemm, GroupedB
from sparsat.hw.array_op import Dataflow, Order
from sparsat.hw.config import preset

SMALL = preset("small")
GEMM = ArrayGemm(SMALL, p=32, q=32, k=64, dataflow=Dataflow.OS, n=2, m=8, ir=4, is_=4)

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"p": 0}, "GEMM: p is 0, it must be at least 1"),
    ({"q": 0}, "GEMM: q is 0, it must be at least 1"),
    ({"k": 0}, "GEMM: k is 0, it must be at least 1"),
    ({"k": 60}, "GEMM: k is 60, it must be divisible by m=8"),
    (
        {"dataflow": Dataflow.WS, "k": 72},
        "GEMM: k is 72, weight-stationary it must be at most 64",
    ),
    ({"k": 8 << 24}, "ArrayOp: groups is 16777216, it must be from 1 to 16777215"),
    ({"q": 32 << 24}, "ArrayOp: tiles is 16777216, it must be from 1 to 16777215"),
    ({"m": 0}, "ArrayOp: m is 0, it must be 4, 8 or 16, up to 16"),
    ({"m": 7}, "ArrayOp: m is 7, it must be 4, 8 or 16, up to 16"),
    ({"n": 9}, "ArrayOp: n is 9, it must be from 1 to m=8"),
    ({"ir": 0}, "ArrayOp: ir is 0, it must be at least 1"),
    ({"is_": 0}, "ArrayOp: is_ is 0, it must be at least 1"),
    (
        {"is_": 5},
        "ArrayOp: ir·is_ is 4·5 = 20, it must be at most the interleave depth 16",
    ),
    ({"a_order": Order.MN}, "ArrayOp: a_order is <Order.MN: 1>, it must be K, since 2:8 is sparse"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_a_gemm_that_does_not_fit_is_refused(changes, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        replace(GEMM, **changes)


def random_bits(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(seed).integers(1 << 15, size=shape, dtype=np.uint16)


def test_words_pass_the_ports_in_the_documented_order():
    """A of row r: rows r·ir …, group by group; B of column c: columns c·is_ …, with indices."""
    a = random_bits(1, (32, 64))
    b = GroupedB(random_bits(2, (32, 8, 2)), random_bits(3, (32, 8, 2)).astype(np.uint8) & 7)
    streams = GEMM.streams(a, b)
    np.testing.assert_array_equal(streams.a[3][:16], [*a[12, :8], *a[13, :8]])
    np.testing.assert_array_equal(streams.a[3][32:40], a[12, 8:16])
    words = b.values.astype(np.uint32) | b.indices.astype(np.uint32) << 16
    np.testing.assert_array_equal(streams.b[2][:8], words[8:12, 0].reshape(-1))
    np.testing.assert_array_equal(streams.b[2][8:16], words[8:12, 1].reshape(-1))
    assert (streams.sums, [len(c) for c in streams.c]) == (8 * 16, [0] * 8)


def test_two_values_share_a_wider_link_the_first_lowest():
    gemm = replace(GEMM, config=SMALL.with_(a_link=2))
    a = random_bits(1, (32, 64))
    streams = gemm.streams(a, GroupedB(random_bits(2, (32, 8, 2)), np.zeros((32, 8, 2), np.uint8)))
    assert streams.a[0][0] == int(a[0, 0]) | int(a[0, 1]) << 16
