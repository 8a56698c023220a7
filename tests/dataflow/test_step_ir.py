"""The IR alone: its JSON form and its arithmetic, without PyTorch."""

import json

import pytest

from sparsat.dataflow.ir import Conv, Layer, MatMul, Op, Step, Tensor, Update, Vector

CONV = Conv(2, 8, 8, 4, 4, 4, 6, 3, 3, (2, 2), (1, 1), (1, 1), groups=2)
STEP = Step(
    "net",
    2,
    (Tensor("x", (2, 4, 8, 8), 1024, "activation"), Tensor("w", (6, 2, 3, 3), 432, "weight")),
    (Layer("c", "w", CONV, prunable=True, first=True, head=False),),
    (
        Op("c/FF", "c", "FF", ("x", "w"), ("y",), CONV),
        Op("m/FF", "", "FF", ("y", "y"), ("z",), MatMul(2, 3, 4, 5)),
        Op("r", "", "VECTOR", ("z",), ("v",), Vector("sort", 10, 20, 20, 50, mapped=False)),
        Op("w/UPDATE", "c", "UPDATE", ("w",), ("w",), Update(108, prunable=True)),
    ),
)


def test_json_round_trip() -> None:
    assert Step.from_json(STEP.to_json()) == STEP
    assert Step.from_json(STEP.to_json()).to_json() == STEP.to_json()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "null", STEP.to_json()[:-5], STEP.to_json().replace('"Conv"', '"Cone"')],
)
def test_what_is_no_step_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a captured step"):
        Step.from_json(text)


def test_another_format_is_refused() -> None:
    plain = json.loads(STEP.to_json()) | {"format": 0}
    with pytest.raises(ValueError, match="format 0"):
        Step.from_json(json.dumps(plain))


def test_macs_and_flops() -> None:
    assert CONV.macs == 2 * 4 * 4 * 6 * 9 * 2
    assert STEP.macs() == CONV.macs + 120
    assert STEP.macs("BP") == 0
    assert STEP.flops == 2 * STEP.macs() + 50


def test_unmapped_share() -> None:
    (unmapped,) = STEP.unmapped
    assert (unmapped.kind, unmapped.ops) == ("sort", ("r",))
    assert unmapped.share == 50 / STEP.flops


def test_mirror_is_its_own_inverse() -> None:
    assert CONV.mirrored().transposed
    assert CONV.mirrored().mirrored() == CONV
    assert CONV.mirrored().macs == CONV.macs
