"""Tasks give replayable batches, honest splits and correct scores."""

import math
from pathlib import Path
from random import Random

import pytest
import torch
from torch import Tensor, nn

from sparsat.algo.tasks import TASKS, make_task, task_class
from sparsat.algo.tasks.base import generator
from sparsat.algo.tasks.bytes_lm import mean_nats
from sparsat.algo.tasks.closed_world import CONTEXT, IGNORED, SUBTASKS, ClosedWorld
from sparsat.algo.tasks.scoring import distinct, exact_match, follows_format, rouge_l
from sparsat.algo.tasks.world import Example

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["digits", "bytes-lm", "closed-world"])
def test_batches_depend_on_seed_and_epoch_alone(name: str) -> None:
    task = make_task(name)
    first, again, other_epoch, other_seed = (
        next(task.batches(seed, epoch)) for seed, epoch in ((3, 1), (3, 1), (3, 2), (4, 1))
    )
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other_epoch[0])
    assert not torch.equal(first[0], other_seed[0])
    assert len(first[0]) == task.recipe.batch


@pytest.mark.parametrize("name", ["digits", "bytes-lm", "closed-world"])
def test_an_untrained_model_starts_near_chance(name: str) -> None:
    task = make_task(name)
    torch.manual_seed(0)
    loss = float(task.loss(task.model(), next(task.batches(0, 0))).detach())
    choices = {"digits": 10, "bytes-lm": 256, "closed-world": 184}[name]
    assert loss == pytest.approx(math.log(choices), rel=0.25)


def test_every_task_is_described() -> None:
    for name in TASKS:
        cls = task_class(name)
        assert cls.name == name
        assert cls.summary
        assert cls.metric.name


def test_unknown_task_lists_the_known() -> None:
    with pytest.raises(ValueError, match="unknown task 'mnist': known are digits, bytes-lm"):
        make_task("mnist")


def test_offline_tasks_take_no_other_model() -> None:
    with pytest.raises(ValueError, match="leave out --model"):
        make_task("digits", None, "vit")


@pytest.mark.parametrize("name", ["digits", "bytes-lm", "closed-world"])
def test_offline_tasks_take_no_data(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"task {name} makes its own data: leave out --data"):
        make_task(name, tmp_path)


def test_generators_of_neighbouring_seeds_differ() -> None:
    draws = {float(torch.rand(1, generator=generator(s, e))) for s in range(4) for e in range(4)}
    assert len(draws) == 16


class Uniform(nn.Module):
    """Every byte equally likely."""

    def forward(self, tokens: Tensor) -> Tensor:
        return torch.zeros(*tokens.shape, 256)


def test_uniform_guess_costs_eight_bits_per_byte() -> None:
    text = torch.arange(1000).to(torch.uint8)
    assert mean_nats(Uniform(), text, CPU) / math.log(2) == pytest.approx(8.0)


# Closed world


class Oracle(nn.Module):
    """Knows the continuation of every test prompt and nothing else."""

    def __init__(self, task: ClosedWorld) -> None:
        super().__init__()
        encode = task.world.encode
        self.size = len(task.world.vocabulary)
        self.known: dict[tuple[int, ...], int] = {}
        for example in (e for tests in task._tests.values() for e in tests):
            for i, word in enumerate(example.answer):
                given = ["<eos>", *example.prompt, *example.answer[:i]]
                self.known[tuple(encode(given))] = encode([word])[0]

    def forward(self, tokens: Tensor) -> Tensor:
        logits = torch.zeros(*tokens.shape, self.size)
        for row, given in zip(logits, tokens.tolist(), strict=True):
            row[-1, self.known.get(tuple(given), 0)] = 1.0
        return logits


class Silent(nn.Module):
    """Answers with a full stop at once."""

    def __init__(self, task: ClosedWorld) -> None:
        super().__init__()
        self.size, self.stop = len(task.world.vocabulary), task.world.vocabulary["."]

    def forward(self, tokens: Tensor) -> Tensor:
        logits = torch.zeros(*tokens.shape, self.size)
        logits[..., self.stop] = 1.0
        return logits


def test_an_oracle_scores_everything_and_silence_nothing() -> None:
    task = ClosedWorld()
    oracle, silent = (task.evaluate(m(task), CPU) for m in (Oracle, Silent))
    assert {oracle[name] for name in (*SUBTASKS, "mean_score")} == {100.0}
    assert [silent[name] for name in ("recall", "choice", "open_book", "format")] == [0, 0, 0, 0]
    assert silent["extract"] == pytest.approx(100 * 2 / 7)  # the stop alone is in the sentence
    assert silent["distinct_2"] == 0


def test_test_people_and_lists_never_occur_in_training() -> None:
    world = ClosedWorld().world
    groups = [set(world.known), set(world.strangers), set(world.unseen_strangers)]
    assert sum(len(g) for g in groups) == len(set.union(*groups))
    assert not set(world.lists) & set(world.unseen_lists)


def test_documents_fit_and_only_answers_are_targets() -> None:
    task = ClosedWorld()
    documents = [task._document(Random(i)) for i in range(200)]
    inputs, targets = task._batch(documents)
    assert inputs.shape == targets.shape == (200, CONTEXT)
    for document, row in zip(documents, targets, strict=True):
        answers = [word for example in document for word in example.answer]
        assert row[row != IGNORED].tolist() == task.world.encode(answers)


def test_the_world_is_the_same_every_time() -> None:
    assert ClosedWorld().world.facts == ClosedWorld().world.facts


def test_scores() -> None:
    assert exact_match(["a", "."], ["a", "."]) == 1
    assert exact_match(["a", "b", "."], ["a", "."]) == 0
    assert exact_match([], []) == 0
    assert rouge_l(list("abcd"), list("axbd")) == pytest.approx(0.75)
    assert rouge_l([], ["a"]) == 0
    assert distinct([["a", "b", "a"], ["a", "b"]], 2) == pytest.approx(2 / 3)
    assert distinct([["a"]], 2) == 0
    assert follows_format(["a", ",", "b", "."], 2, ["a", "b"], "a") == 1
    for wrong in (["a", ",", "a", "."], ["b", ",", "a", "."], ["a", ",", "c", "."], ["a", "b"], []):
        assert follows_format(wrong, 2, ["a", "b"], "a") == 0


def test_an_example_keeps_prompt_and_answer_apart() -> None:
    task = ClosedWorld()
    for tests in task._tests.values():
        assert all(isinstance(e, Example) and e.answer[-1] == "." for e in tests)
