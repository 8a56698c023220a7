"""Closed world: does a sparse language model still *know* and *do* things?

In the style of LLM-KICK (Jaiswal et al. 2024), which showed that perplexity hides what pruning
destroys; this is a miniature of our own and its numbers are not LLM-KICK numbers. A tiny model is
trained on documents of a generated world (`tasks.world`) and asked to

1. recall facts it has learnt (closed book, exact match),
2. choose the true one of four values by likelihood,
3. retrieve a stranger's fact from the passage before the question (exact match),
4. extract the one sentence of a passage that speaks of a person (ROUGE-L),
5. follow a format: list n different things, starting from a given one (share in form; the
   diversity of the lists, distinct-2, beside it).

Bits per byte and perplexity of the answers in held-out documents stand beside the five. A sparse
model *matches* its dense reference in a sub-task if its mean score is at most 5 % (relative) lower.
"""

import math
from collections.abc import Callable, Iterator
from functools import cached_property
from random import Random

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparsat.algo.models.lm import LanguageModel
from sparsat.algo.tasks.base import Batch, Metric, Recipe, Task
from sparsat.algo.tasks.scoring import distinct, exact_match, follows_format, rouge_l
from sparsat.algo.tasks.world import (
    RELATIONS,
    Document,
    Example,
    Words,
    World,
    listing,
    question,
    quote,
    read,
    recall,
)

CONTEXT = 48
EXAMPLES = 288
"""Number of examples in each sub-task's test."""
IGNORED = -100
SUBTASKS = ("recall", "choice", "open_book", "extract", "format")


class ClosedWorld(Task):
    """A transformer that reads and answers about generated people, scored in five sub-tasks."""

    name = "closed-world"
    summary = "LLM-KICK-style knowledge and skills of a tiny language model, offline"
    metric = Metric("mean_score", "%")
    extra_metrics = (
        *(Metric(subtask, "%") for subtask in SUBTASKS),
        Metric("distinct_2", "%"),
        Metric("bits_per_byte", "bits/byte", higher_is_better=False, digits=4),
        Metric("perplexity", "per word", higher_is_better=False, digits=3),
    )
    matching = 0.95
    matched = ("mean_score", *SUBTASKS)
    exclude = ("head",)
    recipe = Recipe(
        optimizer="adamw",
        lr=1.5e-3,
        weight_decay=0.01,
        batch=64,
        epochs=12,
        steps_per_epoch=100,
        warmup=0.1,
        clip=1.0,
    )

    def __init__(self) -> None:
        self.world = World()
        self._words = list(self.world.vocabulary)

    def model(self) -> nn.Module:
        size = 8 * math.ceil(len(self._words) / 8)
        return LanguageModel(size, dim=64, depth=2, heads=4, hidden=256, context=CONTEXT)

    # Training documents

    def batches(self, seed: int, epoch: int) -> Iterator[Batch]:
        rng = Random(f"closed-world {seed} {epoch}")
        for _ in range(self.recipe.steps_per_epoch):
            yield self._batch([self._document(rng) for _ in range(self.recipe.batch)])

    def _document(self, rng: Random) -> Document:
        """Six facts of known people, a passage with three tasks, or three lists."""
        world, kind = self.world, rng.randrange(4)
        if kind == 0:
            return [recall(world, rng.choice(world.known), rng.choice(RELATIONS)) for _ in range(6)]
        if kind == 3:
            return [listing(world, rng.choice(world.lists), rng) for _ in range(3)]
        return read(world, world.strangers, question if kind == 1 else quote, 3, rng)

    def _batch(self, documents: list[Document]) -> Batch:
        """Inputs and targets `[n, CONTEXT]`; only the words of answers are targets.

        Prompts are random, so nothing could be learnt from them. A document follows an `<eos>`.
        """
        inputs = torch.full((len(documents), CONTEXT + 1), self.world.vocabulary["<pad>"])
        targets = torch.full((len(documents), CONTEXT + 1), IGNORED)
        for i, document in enumerate(documents):
            end = 1
            inputs[i, 0] = self.world.vocabulary["<eos>"]
            for example in document:
                start, end = end, end + len(example.prompt) + len(example.answer)
                code = torch.tensor(self.world.encode(example.prompt + example.answer))
                inputs[i, start:end] = code
                scored = slice(start + len(example.prompt), end)
                targets[i, scored] = inputs[i, scored]
        return inputs[:, :-1], targets[:, 1:]

    # Evaluation

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        model.eval()
        with torch.inference_mode():
            scores = {
                "recall": self._recall(model, device),
                "choice": self._choice(model, device),
                "open_book": self._open_book(model, device),
                "extract": self._extract(model, device),
                **self._format(model, device),
            }
            mean = sum(scores[subtask] for subtask in SUBTASKS) / len(SUBTASKS)
            return {"mean_score": mean, **scores, **self._language(model, device)}

    @cached_property
    def _tests(self) -> dict[str, list[Example]]:
        world, rng = self.world, Random("closed-world tests")
        facts = [(p, r) for p in world.known for r in RELATIONS]
        asked = rng.sample(facts, EXAMPLES)

        def reading(ask: Callable[..., Example]) -> Example:
            return read(world, world.unseen_strangers, ask, 1, rng)[0]

        return {
            "recall": [recall(world, p, r) for p, r in asked],
            "open_book": [reading(question) for _ in range(EXAMPLES)],
            "extract": [reading(quote) for _ in range(EXAMPLES)],
            "format": [listing(world, which, rng) for which in world.unseen_lists],
        }

    def _recall(self, model: nn.Module, device: torch.device) -> float:
        examples = self._tests["recall"]
        answers = self._generate(model, examples, device)
        return _percent([exact_match(a, e.answer) for a, e in zip(answers, examples, strict=True)])

    def _open_book(self, model: nn.Module, device: torch.device) -> float:
        examples = self._tests["open_book"]
        answers = self._generate(model, examples, device)
        return _percent([exact_match(a, e.answer) for a, e in zip(answers, examples, strict=True)])

    def _extract(self, model: nn.Module, device: torch.device) -> float:
        examples = self._tests["extract"]
        answers = self._generate(model, examples, device)
        return _percent([rouge_l(a, e.answer) for a, e in zip(answers, examples, strict=True)])

    def _choice(self, model: nn.Module, device: torch.device) -> float:
        """How often the true value is likelier than three others of the same relation."""
        examples = self._tests["recall"]
        rng = Random("closed-world choices")
        right = []
        logits = self._next_logits(model, [e.prompt for e in examples], device)
        for row, example in zip(logits, examples, strict=True):
            truth = example.answer[0]
            others = [v for v in self.world.values[example.prompt[1]] if v != truth]
            options = torch.tensor(self.world.encode([truth, *rng.sample(others, 3)]))
            likelihood = row[options]
            right.append(float(likelihood[0] > likelihood[1:].max()))
        return _percent(right)

    def _format(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        examples = self._tests["format"]
        answers = self._generate(model, examples, device)
        in_form = []
        for answer, example in zip(answers, examples, strict=True):
            _, count, relation, _, start, _ = example.prompt
            allowed = self.world.values[relation]
            in_form.append(follows_format(answer, int(count), allowed, start))
        return {"format": _percent(in_form), "distinct_2": 100 * distinct(answers, 2)}

    def _language(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Bits per byte and perplexity per word of the answers in held-out documents."""
        rng = Random("closed-world held out")
        documents = [self._document(rng) for _ in range(512)]
        inputs, targets = self._batch(documents)
        logits = model(inputs.to(device)).flatten(0, 1)
        target = targets.to(device).flatten()
        nats = float(F.cross_entropy(logits, target, ignore_index=IGNORED, reduction="sum"))
        words = [self._words[t] for t in targets.flatten().tolist() if t != IGNORED]
        size = sum(len(word) + 1 for word in words)
        return {
            "bits_per_byte": nats / math.log(2) / size,
            "perplexity": math.exp(min(nats / len(words), 700.0)),
        }

    def _next_logits(self, model: nn.Module, prompts: list[Words], device: torch.device) -> Tensor:
        """Logits `[n, vocabulary]` of the word after each prompt; all prompts equally long."""
        tokens = torch.tensor([self.world.encode(["<eos>", *p]) for p in prompts])
        return model(tokens.to(device))[:, -1].cpu()

    def _generate(
        self, model: nn.Module, examples: list[Example], device: torch.device
    ) -> list[Words]:
        """The likeliest continuation of each prompt up to and with its first full stop."""
        longest = max(len(e.answer) for e in examples)
        tokens = torch.tensor([self.world.encode(["<eos>", *e.prompt]) for e in examples])
        start = tokens.shape[1]
        for _ in range(min(longest, CONTEXT - start + 1)):
            follow = model(tokens.to(device))[:, -1, : len(self._words)].argmax(-1, keepdim=True)
            tokens = torch.cat((tokens, follow.cpu()), 1)
        return [self._until_stop(row) for row in tokens[:, start:].tolist()]

    def _until_stop(self, tokens: list[int]) -> Words:
        words = [self._words[t] for t in tokens]
        return words[: words.index(".") + 1] if "." in words else words


def _percent(scores: list[float]) -> float:
    return 100 * sum(scores) / len(scores)
