"""The image data sets, on small copies in their distributed formats."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sparsat.algo.tasks import DataError, imagenet, make_task, tiny_imagenet
from sparsat.algo.tasks.cifar import Cifar10, Cifar100
from sparsat.algo.tasks.images import jitter

RNG = np.random.default_rng(0)


def pixels(n: int) -> np.ndarray:
    return RNG.integers(256, size=(n, 3072), dtype=np.uint8)


def write_pickled(file: Path, images: np.ndarray, key: bytes, labels: list[int]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(pickle.dumps({b"data": images, key: labels}, protocol=2))


def test_cifar10_python_version(tmp_path: Path) -> None:
    images = pixels(60)
    for i in range(5):
        part = tmp_path / "cifar-10-batches-py" / f"data_batch_{i + 1}"
        write_pickled(part, images[10 * i : 10 * i + 10], b"labels", [i] * 10)
    write_pickled(tmp_path / "cifar-10-batches-py" / "test_batch", images[50:], b"labels", [9] * 10)
    task = Cifar10(tmp_path)
    assert torch.equal(task.train[0].flatten(1), torch.from_numpy(images[:50]))
    assert task.train[1].tolist() == [i for i in range(5) for _ in range(10)]
    x, y = next(task.batches(0, 0))
    assert x.shape == (50, 3, 32, 32)
    assert y.shape == (50,)
    assert x.abs().max() < 3


def test_cifar100_binary_version_takes_the_fine_label(tmp_path: Path) -> None:
    images = pixels(4)
    labels = np.array([[1, 50], [2, 60], [3, 70], [4, 80]], np.uint8)
    for name in ("train", "test"):
        np.hstack([labels, images]).tofile(tmp_path / f"{name}.bin")
    assert Cifar100(tmp_path).train[1].tolist() == [50, 60, 70, 80]
    assert torch.equal(Cifar100(tmp_path).test[0].flatten(1), torch.from_numpy(images))


@pytest.mark.parametrize("images", [0, 1])
def test_a_truncated_binary_is_refused(images: int, tmp_path: Path) -> None:
    """No record, or one without its labels."""
    for name in ("train", "test"):
        pixels(images).tofile(tmp_path / f"{name}.bin")
    with pytest.raises(DataError, match=r"train\.bin is not a cifar100 batch"):
        Cifar100(tmp_path)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (pixels(2), [1, 100]),
        (pixels(2), [1, -1]),
        (pixels(2), [1]),
        (pixels(2)[:, :100], [1, 2]),
        (pixels(2), ["a", "b"]),
        (pixels(2), 7),
    ],
)
def test_a_batch_of_something_else_is_refused(images: Any, labels: Any, tmp_path: Path) -> None:
    for name in ("train", "test"):
        write_pickled(tmp_path / name, images, b"fine_labels", labels)
    with pytest.raises(DataError, match="train is not a cifar100 batch"):
        Cifar100(tmp_path)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("code ran",)


def test_a_pickle_cannot_run_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("train", "test"):
        (tmp_path / name).write_bytes(pickle.dumps(Evil()))
    with pytest.raises(DataError, match=r"print is not an array"):
        Cifar100(tmp_path)
    assert not capsys.readouterr().out


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "tiny-imagenet", "imagenet"])
def test_absent_data_say_what_is_expected(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="pass --data DIR"):
        make_task(name)
    with pytest.raises(DataError, match=f"no directory .*absent: task {name} expects"):
        make_task(name, tmp_path / "absent")
    with pytest.raises(DataError) as error:
        make_task(name, tmp_path)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


def test_jitter_shifts_and_mirrors_whole_images() -> None:
    images = torch.arange(2 * 3 * 6 * 6).view(2, 3, 6, 6)
    moved = jitter(images, 0, torch.Generator().manual_seed(0))
    for before, after in zip(images, moved, strict=True):
        assert torch.equal(after, before) or torch.equal(after, before.flip(-1))
    shifted = jitter(torch.ones(50, 1, 8, 8), 2, torch.Generator().manual_seed(0))
    assert shifted.shape == (50, 1, 8, 8)
    assert {int(image.sum()) for image in shifted} > {64}


def test_image_tasks_take_another_model(tmp_path: Path) -> None:
    for name in ("train", "test"):
        write_pickled(tmp_path / name, pixels(3), b"fine_labels", [1, 2, 3])
    assert type(Cifar100(tmp_path, "resnet18").model()).__name__ == "ResNet"
    assert Cifar100(tmp_path, "vit").recipe.optimizer == "adamw"
    with pytest.raises(ValueError, match="unknown model 'lenet'"):
        make_task("cifar100", tmp_path, "lenet")


def write_image(file: Path, size: tuple[int, int]) -> None:
    image_module = pytest.importorskip("PIL.Image")
    file.parent.mkdir(parents=True, exist_ok=True)
    noise = RNG.integers(256, size=(size[1], size[0], 3), dtype=np.uint8)
    image_module.fromarray(noise).save(file)


def test_tiny_imagenet_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny_imagenet, "CLASSES", 2)
    for name in ("n1", "n2"):
        for i in range(3):
            write_image(tmp_path / "train" / name / "images" / f"{name}_{i}.JPEG", (64, 64))
    write_image(tmp_path / "val" / "images" / "val_0.JPEG", (64, 64))
    (tmp_path / "val" / "val_annotations.txt").write_text("val_0.JPEG\tn2\t0\t0\t9\t9\n")
    task = tiny_imagenet.TinyImageNet(tmp_path)
    assert task.train[0].shape == (6, 3, 64, 64)
    assert task.train[1].tolist() == [0, 0, 0, 1, 1, 1]
    assert task.test[1].tolist() == [1]


def test_imagenet_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagenet, "CLASSES", 2)
    for split in ("train", "val"):
        for name in ("n1", "n2"):
            write_image(tmp_path / split / name / "x.JPEG", (300, 260))
    task = imagenet.ImageNet(tmp_path)
    x, y = next(task.batches(0, 0))
    assert x.shape == (2, 3, 224, 224)
    assert sorted(y.tolist()) == [0, 1]
    again, _ = next(task.batches(0, 0))
    assert torch.equal(x, again)


def test_a_wrong_number_of_classes_is_told(tmp_path: Path) -> None:
    (tmp_path / "train" / "n1").mkdir(parents=True)
    (tmp_path / "val").mkdir()
    with pytest.raises(DataError, match="has 1 class folders, not 1000"):
        imagenet.ImageNet(tmp_path)
