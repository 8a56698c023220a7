"""Post-training methods rank on the byte language model at 2:4 as published.

SparseGPT before Wanda and magnitude, which are near-equal here, and MaskLLM before SparseGPT.
"""

from pathlib import Path

import pytest

from sparsat.algo.training.config import RunConfig
from sparsat.algo.training.device import pick_device
from sparsat.algo.training.run import Run

STEPS = 400


def bits_per_byte(root: Path, method: str) -> float:
    config = RunConfig("bytes-lm", method, "2:4", steps=STEPS)
    return Run(config, root, pick_device("cpu")).execute()["metrics"]["bits_per_byte"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with the dense one that the others start from."""
    folder = tmp_path_factory.mktemp("runs")
    bits_per_byte(folder, "dense")
    return folder


@pytest.fixture(scope="module")
def sparsegpt(root: Path) -> float:
    return bits_per_byte(root, "sparsegpt")


@pytest.mark.parametrize("method", ["magnitude", "wanda"])
def test_sparsegpt_loses_less_than(method: str, root: Path, sparsegpt: float) -> None:
    dense = bits_per_byte(root, "dense")
    assert 0 < sparsegpt - dense < 0.7 * (bits_per_byte(root, method) - dense)


def test_maskllm_loses_less_than_sparsegpt(root: Path, sparsegpt: float) -> None:
    dense = bits_per_byte(root, "dense")
    assert 0 < bits_per_byte(root, "maskllm") - dense < 0.9 * (sparsegpt - dense)
