import re
from dataclasses import replace
from typing import Any

import pytest

from array_cases import interleaves
from sparsat.hw.array_op import ArrayOp, Dataflow, Order, log_m_of, m_of
from sparsat.hw.config import preset
from sparsat.hw.request import encode_request, request_layout

SMALL = preset("small")
OP = ArrayOp(dataflow=Dataflow.OS, n=2, m=8, ir=4, is_=4, groups=5)

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"n": 1, "m": 2}, "m is 2, it must be 4, 8 or 16, up to 16"),
    ({"n": 3, "m": 3}, "m is 3, it must be 2, 4, 8 or 16, up to 16"),
    ({"m": 12}, "m is 12, it must be 4, 8 or 16, up to 16"),
    ({"m": 32}, "m is 32, it must be 4, 8 or 16, up to 16"),
    ({"n": 0}, "n is 0, it must be from 1 to m=8"),
    ({"n": 9}, "n is 9, it must be from 1 to m=8"),
    ({"ir": 0}, "ir is 0, it must be at least 1"),
    ({"is_": 0}, "is_ is 0, it must be at least 1"),
    (
        {"ir": 4, "is_": 5},
        "ir·is_ is 4·5 = 20, it must be at most the interleave depth 16",
    ),
    ({"ir": 5, "is_": 1}, "ir is 5, it must be at most 4 at m=8"),
    ({"n": 8, "ir": 1, "is_": 5}, "is_ is 5, it must be at most 4 at n=8"),
    ({"groups": 0}, "groups is 0, it must be from 1 to 16777215"),
    ({"groups": 1 << 24}, "groups is 16777216, it must be from 1 to 16777215"),
    ({"tiles": 0}, "tiles is 0, it must be from 1 to 16777215"),
    ({"tiles": 1 << 24}, "tiles is 16777216, it must be from 1 to 16777215"),
    ({"a_order": Order.MN}, "a_order is <Order.MN: 1>, it must be K, since 2:8 is sparse"),
    ({"b_order": Order.MN}, "b_order is <Order.MN: 1>, it must be K, since 2:8 is sparse"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_a_wrong_field_is_named_before_anything_is_encoded(changes, message):
    op = replace(OP, **changes)
    pattern = f"^ArrayOp: {re.escape(message)}$"
    with pytest.raises(ValueError, match=pattern):
        op.validate(SMALL)
    with pytest.raises(ValueError, match=pattern):
        encode_request(SMALL, op)


def test_the_code_of_a_group_size():
    assert [log_m_of(m) for m in (2, 4, 8, 16)] == [0, 1, 2, 3]
    assert [m_of(log_m) for log_m in range(4)] == [2, 4, 8, 16]


def test_a_group_larger_than_the_array_was_made_for_is_refused():
    with pytest.raises(ValueError, match="m is 16, it must be 4, 8 or 16, up to 8"):
        replace(OP, m=16).validate(SMALL.with_(m_max=8))


def test_every_legal_operation_fits_the_request():
    config = SMALL.with_(depth=32, a_regs=64, b_regs=64)
    layout = request_layout(config)
    count = 0
    for n, m in ((2, 2), (1, 4), (4, 4), (1, 16), (16, 16)):
        for ir, is_ in interleaves(config, n, m):
            op = replace(OP, n=n, m=m, ir=ir, is_=is_, groups=(1 << 24) - 1, tiles=(1 << 24) - 1)
            read = layout.from_bits(encode_request(config, op))
            assert (read.n, m_of(read.log_m), read.ir, read.is_) == (n, m, ir, is_)
            assert (read.groups, read.tiles) == (op.groups, op.tiles)
            count += 1
    assert count > 100


@pytest.mark.parametrize("field", ["ws", "a_mn", "b_mn", "resume"])
def test_each_flag_of_a_request_is_its_own(field):
    dense = replace(OP, n=8, is_=2)
    changes: dict[str, dict[str, Any]] = {
        "ws": {"dataflow": Dataflow.WS},
        "a_mn": {"a_order": Order.MN},
        "b_mn": {"b_order": Order.MN},
        "resume": {"resume": True},
    }
    read = request_layout(SMALL).from_bits(encode_request(SMALL, replace(dense, **changes[field])))
    flags = {name: getattr(read, name) for name in changes}
    assert flags == {name: name == field for name in changes}
