"""What cannot be meant is refused before anything starts."""

import math
from typing import Any

import pytest

from sparsat.algo.methods.bi_mask import BiMask
from sparsat.algo.training import settings
from sparsat.algo.training.config import RunConfig
from sparsat.algo.training.errors import TrainError
from sparsat.algo.training.sweep import grid
from tiny_task import config


def test_wrong_settings_are_told() -> None:
    for changes, message in (
        ({"method": "foo"}, "method is 'foo'; allowed: dense, ste"),
        ({"pattern": "2:5"}, "pattern '2:5': m is 5"),
        ({"numerics": "int8"}, "numerics is 'int8'; allowed: torch, sat"),
        ({"steps": 0}, "steps is 0"),
        ({"epochs": 0}, "epochs is 0"),
        ({"steps": 1, "epochs": 1}, "epochs and steps both set the length"),
        ({"seed": -1}, "seed is -1"),
    ):
        with pytest.raises(TrainError, match=message):
            config(**changes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"lr": float("nan")}, "lr is nan"),
        ({"lr": -1.0}, "lr is -1"),
        ({"method": "fixed"}, "masks"),
        ({"decay": math.inf}, "decay is inf"),
        ({"method": "sdgp", "decay": 1e-3}, "sdgp has no option 'decay'"),
        ({"method": "wanda", "lr": 0.1}, "lr is 0.1, but method wanda trains nothing"),
        ({"method": "maskllm", "pattern": "8:16"}, "candidate masks per group"),
        ({"options": {"tau": 1.0}}, "bdwp has no option 'tau'"),
    ],
)
def test_a_run_that_cannot_be_meant_is_refused(change, said):
    with pytest.raises(TrainError, match=said):
        RunConfig(**({"task": "digits", "method": "bdwp"} | change))


def test_a_run_draws_from_its_seed_alone() -> None:
    assert config("bi-mask", seed=3).nm_config().build_method() == BiMask(seed=3)


def of(methods: list[str], patterns: tuple[str, ...] = ("2:4",), **own: Any) -> list[RunConfig]:
    return grid({"task": "tiny"}, own, methods, patterns, [0])


def test_a_grid_gives_settings_to_the_methods_that_have_them() -> None:
    dense, magnitude, pdp = of(["dense", "magnitude", "pdp"], lr=0.1, tau="0.5")
    assert (dense.lr, dense.options) == (0.1, {})
    assert (magnitude.lr, magnitude.options) == (None, {})
    assert (pdp.lr, pdp.options) == (0.1, {"tau": 0.5})


def test_a_grid_has_dense_once_and_first_where_a_method_starts_from_it() -> None:
    names = [run.folder for run in of(["bdwp", "dense"], ("2:4", "2:8"))]
    assert names == ["bdwp-2of4-s0", "bdwp-2of8-s0", "dense-s0"]
    assert [run.folder for run in of(["bdwp", "wanda"])] == [
        "dense-s0",
        "bdwp-2of4-s0",
        "wanda-2of4-s0",
    ]


@pytest.mark.parametrize(
    ("methods", "own", "said"),
    [
        (["magnitude", "wanda"], {"lr": 0.1}, "no setting 'lr' of magnitude, wanda; allowed: none"),
        (["dense", "sdgp"], {"decay": 0.1}, "no setting 'decay' of dense, sdgp; allowed: lr, rule"),
        (["pdp"], {"total_steps": "3"}, "no setting 'total_steps' of pdp; allowed: lr, granul"),
        (["sparsegpt"], {"block": "x"}, "block is 'x', which sparsegpt cannot read.* is 128"),
        (["sparsegpt"], {"damping": "nan"}, "damping is 'nan', which sparsegpt cannot read"),
        (["maskllm"], {"kappa": "1"}, r"kappa is '1', which .* its default is 100.0,500.0"),
        (["pdp"], {"granularity": "row"}, "granularity is 'row'; allowed: nm"),
        (["bdwp", "maskllm"], {"patterns": "x"}, "no setting 'patterns'"),
    ],
)
def test_settings_that_no_method_can_take_are_told(
    methods: list[str], own: dict[str, Any], said: str
) -> None:
    with pytest.raises(TrainError, match=said):
        grid({"task": "tiny"}, own, methods, ["2:4"], [0])


@pytest.mark.parametrize(("text", "value"), [("auto", "auto"), ("1e-3", 0.001), ("2", 2.0)])
def test_options_take_the_type_of_the_method(text: str, value: object) -> None:
    assert settings.of_method("pdp", {"tau": text}) == {"options": {"tau": value}}


def test_pairs_are_lists_by_comma() -> None:
    options = settings.of_method("maskllm", {"kappa": "1,2.5"})["options"]
    assert options == {"kappa": [1.0, 2.5]}
    saved = config("maskllm", options=options).to_dict()
    assert saved["options"]["kappa"] == [1.0, 2.5]


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        (["tau"], "'tau' is not of the form key=value"),
        (["=1"], "'=1' is not of the form"),
        (["tau=1", "tau=2"], "'tau' is given twice"),
        (["lr=1"], "'lr' has a place of its own: --lr"),
    ],
)
def test_options_that_are_not_key_and_value_are_told(entries: list[str], said: str) -> None:
    with pytest.raises(TrainError, match=said):
        settings.split(entries)
