"""Models by name and from files, and what is said when there is none."""

from pathlib import Path

import pytest
import torch
from torch import nn

from sparsat.algo.models import DATASETS, PAIRING
from sparsat.dataflow.models import BUILTINS, load_model

ODD_NET = Path(__file__).parents[1] / "support" / "odd_net.py"


def test_the_built_ins_have_the_sizes_of_their_datasets() -> None:
    assert {name: DATASETS[dataset].image for name, dataset in PAIRING.items()} == BUILTINS


@pytest.mark.parametrize(
    ("spec", "name", "image", "classes"),
    [
        ("vit", "vit", 32, 100),
        ("resnet18", "resnet18", 64, 200),
        ("resnet18@224", "resnet18@224", 224, 1000),
        ("resnet18@64", "resnet18", 64, 200),
        ("resnet9@48", "resnet9@48", 48, 10),
    ],
)
def test_built_ins(spec: str, name: str, image: int, classes: int) -> None:
    found, factory = load_model(spec, 3)
    module, (images,) = factory()
    assert found == name
    assert images.shape == (3, 3, image, image)
    assert list(module.modules())[-1].out_features == classes or name == "vit"


def test_an_example_input_takes_the_batch() -> None:
    name, factory = load_model(f"{ODD_NET}:build", 7)
    module, (tokens,) = factory()
    assert name == "odd_net.py:build"
    assert isinstance(module, nn.Module)
    assert (tokens.shape, tokens.dtype) == ((7, 16), torch.long)


def test_a_module_alone_gets_images() -> None:
    _, factory = load_model(f"{ODD_NET}:alone@32", 2)
    assert factory()[1][0].shape == (2, 3, 32, 32)


@pytest.mark.parametrize(
    ("spec", "batch", "message"),
    [
        ("resnet", 1, "unknown model 'resnet': known are resnet9, vit, vgg19, resnet18, resnet50"),
        ("resnet18", 0, "batch must be at least 1 and at most 16777216, not 0"),
        ("resnet18", 2**24 + 1, "at most 16777216, not 16777217"),
        ("resnet18@0", 1, "image size must be at least 1"),
        ("resnet18@x", 1, "unknown model 'resnet18@x'"),
        ("nothing.py:build", 1, "nothing.py: no such file"),
        ("nothing.py", 1, "write path.py:factory"),
        ("nothing.py:", 1, "write path.py:factory"),
    ],
)
def test_bad_names(spec: str, batch: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_model(spec, batch)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("missing", "has no missing: it has Odd, build, alone, broken, number"),
        ("broken", r"broken\(\) fails: RuntimeError: out of ideas"),
        ("number", "returned int, expected a module"),
    ],
)
def test_bad_factories(function: str, message: str) -> None:
    _, factory = load_model(f"{ODD_NET}:{function}", 1)
    with pytest.raises(ValueError, match=message) as caught:
        factory()
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_imported(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("import torch\ndef build(:\n")
    _, factory = load_model(f"{tmp_path}/net.py:build", 1)
    with pytest.raises(ValueError, match="cannot be imported: SyntaxError"):
        factory()


def test_a_size_that_does_not_fit() -> None:
    _, factory = load_model("vit@33", 1)
    with pytest.raises(ValueError, match="vit@33 cannot be built: patch=4 does not divide"):
        factory()
