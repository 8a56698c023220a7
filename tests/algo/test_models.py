"""The models have their textbook sizes and take their datasets' inputs."""

import pytest
import torch

from sparsat.algo import NMConfig, prepare
from sparsat.algo.models import DATASETS, MODELS, PAIRING, build, example_input
from sparsat.algo.models.lm import LanguageModel
from sparsat.algo.models.vit import patch_size


@pytest.mark.parametrize(
    ("name", "dataset", "millions"),
    [
        ("resnet9", "cifar10", 6.573130),
        ("resnet18", "imagenet", 11.689512),
        ("resnet50", "imagenet", 25.557032),
        ("vgg19", "cifar100", 20.086692),
        ("vit", "imagenet", 22.049896),
    ],
)
def test_parameter_count(name: str, dataset: str, millions: float) -> None:
    with torch.device("meta"):
        model = build(name, dataset)
    assert sum(p.numel() for p in model.parameters()) == round(millions * 1e6)


@pytest.mark.parametrize("name", MODELS)
def test_paired_dataset_gives_logits(name: str) -> None:
    with torch.device("meta"):
        model = build(name).eval()
        logits = model(example_input(name, batch=2))
    assert logits.shape == (2, DATASETS[PAIRING[name]].classes)


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_model_takes_every_size(dataset: str) -> None:
    for name in MODELS:
        with torch.device("meta"):
            logits = build(name, dataset).eval()(example_input(name, dataset))
        assert logits.shape == (1, DATASETS[dataset].classes), name


def test_bdwp_leaves_only_the_ends_of_a_resnet_dense() -> None:
    report = prepare(build("resnet18"), NMConfig(method="bdwp", n_keep=2, m=8)).report
    assert {entry.name for entry in report.skipped} == {"conv1.weight", "fc.weight"}
    assert len(report.sparse) == 19


def test_patches_divide_every_image() -> None:
    sizes = {shape.image: patch_size(shape.image) for shape in DATASETS.values()}
    assert sizes == {32: 4, 64: 4, 224: 16}


def test_language_model_does_not_look_ahead() -> None:
    torch.manual_seed(0)
    model = LanguageModel(16, dim=16, depth=2, heads=2, hidden=32, context=8).eval()
    tokens = torch.randint(16, (1, 8))
    changed = tokens.clone()
    changed[0, -1] = (tokens[0, -1] + 1) % 16
    before, after = model(tokens), model(changed)
    torch.testing.assert_close(before[:, :-1], after[:, :-1])
    assert not torch.equal(before[:, -1], after[:, -1])


def test_unknown_names_are_listed() -> None:
    with pytest.raises(ValueError, match="unknown model 'lenet': known are resnet9"):
        build("lenet")
    with pytest.raises(ValueError, match="unknown dataset 'mnist': known are cifar10"):
        build("vit", "mnist")
