"""Byte-level language modelling of the Python standard library: text every user already has.

The corpus is the top-level modules of the running interpreter's standard library in name order,
every tenth held out. It changes with the Python version, so its checksum is part of every result:
compare only results of equal checksum.
"""

import hashlib
import math
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparsat.algo.models.lm import LanguageModel
from sparsat.algo.tasks.base import Batch, DataError, Metric, Recipe, Task, generator

CONTEXT = 64
TRAIN_BYTES, VALIDATION_BYTES = 4_000_000, 200_000


class BytesLM(Task):
    """A two-block transformer of width 64 that predicts the next byte of Python source."""

    name = "bytes-lm"
    summary = "byte language model of the Python standard library, offline; 2-block transformer"
    metric = Metric("bits_per_byte", "bits/byte", higher_is_better=False, digits=4)
    extra_metrics = (Metric("perplexity", "per byte", higher_is_better=False, digits=3),)
    exclude = ("head",)
    recipe = Recipe(
        optimizer="adamw",
        lr=3e-3,
        weight_decay=0.05,
        batch=32,
        epochs=7,
        steps_per_epoch=100,
        clip=1.0,
    )

    def __init__(self) -> None:
        self.corpus = _corpus()

    def model(self) -> nn.Module:
        return LanguageModel(256, dim=64, depth=2, heads=4, hidden=256, context=CONTEXT)

    def batches(self, seed: int, epoch: int) -> Iterator[Batch]:
        rng = generator(seed, epoch)
        span = torch.arange(CONTEXT + 1)
        for _ in range(self.recipe.steps_per_epoch):
            starts = torch.randint(
                len(self.corpus.train) - CONTEXT, (self.recipe.batch, 1), generator=rng
            )
            text = self.corpus.train[starts + span].long()
            yield text[:, :-1], text[:, 1:]

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        nats = mean_nats(model, self.corpus.validation, device)
        return {"bits_per_byte": nats / math.log(2), "perplexity": math.exp(min(nats, 700.0))}

    def provenance(self) -> dict[str, str]:
        return {"corpus_sha256": self.corpus.sha256}


class _Corpus:
    """Training and validation bytes (uint8 vectors) and the checksum of both."""

    def __init__(self, train: bytes, validation: bytes) -> None:
        self.train, self.validation = _tensor(train), _tensor(validation)
        self.sha256 = hashlib.sha256(train + validation).hexdigest()[:12]


def _tensor(text: bytes) -> Tensor:
    return torch.from_numpy(np.frombuffer(text, np.uint8).copy())


@cache
def _corpus() -> _Corpus:
    library = Path(sysconfig.get_paths()["stdlib"])
    files = sorted(library.glob("*.py"))
    if len(files) < 20:
        raise DataError(f"no Python sources in {library}: bytes-lm needs the standard library's")
    texts = [file.read_bytes() for file in files]
    held_out = b"".join(texts[9::10])
    train = b"".join(text for i, text in enumerate(texts) if i % 10 != 9)
    return _Corpus(train[:TRAIN_BYTES], held_out[:VALIDATION_BYTES])


def mean_nats(model: nn.Module, text: Tensor, device: torch.device) -> float:
    """Mean cross entropy in nats per byte of uint8 `text`, in windows of `CONTEXT` bytes."""
    model.eval()
    count = (len(text) - 1) // CONTEXT * CONTEXT
    inputs = text[:count].view(-1, CONTEXT).long()
    targets = text[1 : count + 1].view(-1, CONTEXT).long()
    total = 0.0
    with torch.inference_mode():
        for x, y in zip(inputs.split(128), targets.split(128), strict=True):
            logits = model(x.to(device)).flatten(0, 1)
            total += float(F.cross_entropy(logits, y.to(device).flatten(), reduction="sum"))
    return total / count
