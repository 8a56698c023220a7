"""A generated closed world: people, what is true of them, and documents that say so.

Every person has one value for each of six relations. *Known* people's facts are fixed for the
whole world and can be learnt by heart. *Strangers* get random facts in each document, so only
reading the document helps; strangers in tests never occur in training. The vocabulary is one
token per word.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

RELATIONS = ("city", "job", "pet", "food", "colour", "sport")
WORDS = (".", ",", ":", "<pad>", "<eos>", "of", "ask", "quote", "list", "from")
FIRST_NAMES, LAST_NAMES, VALUES = 32, 32, 16
KNOWN, STRANGERS = 64, 256
COUNTS = (2, 3, 4)
"""Lengths of the lists a document may ask for."""

_ONSETS = ("b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "br", "st")
_VOWELS = ("a", "e", "i", "o", "u")

Person = tuple[str, str]
Words = list[str]


@dataclass(frozen=True)
class Example:
    """A document of one sub-task: what is given and what has to follow."""

    prompt: Words
    answer: Words


class World:
    """The people, facts and vocabulary; the same for everyone (`seed` is fixed by the task)."""

    def __init__(self, seed: int = 2310) -> None:
        rng = Random(seed)
        words = _invent(FIRST_NAMES + LAST_NAMES + len(RELATIONS) * VALUES, rng)
        first, last = words[:FIRST_NAMES], words[FIRST_NAMES : FIRST_NAMES + LAST_NAMES]
        rest = words[FIRST_NAMES + LAST_NAMES :]
        self.values = {r: rest[i * VALUES : (i + 1) * VALUES] for i, r in enumerate(RELATIONS)}
        people = [(f, s) for f in first for s in last]
        rng.shuffle(people)
        self.known, rest_people = people[:KNOWN], people[KNOWN:]
        self.strangers, self.unseen_strangers = rest_people[:STRANGERS], rest_people[STRANGERS:]
        self.facts = {p: self.random_facts(rng) for p in self.known}
        lists = [(n, r, v) for n in COUNTS for r in RELATIONS for v in self.values[r]]
        rng.shuffle(lists)
        self.unseen_lists, self.lists = lists[:96], lists[96:]
        self.vocabulary = {w: i for i, w in enumerate((*WORDS, *RELATIONS, *words, "2", "3", "4"))}

    def random_facts(self, rng: Random) -> dict[str, str]:
        """One value for every relation."""
        return {r: rng.choice(self.values[r]) for r in RELATIONS}

    def encode(self, words: Words) -> list[int]:
        """Token numbers of `words`."""
        return [self.vocabulary[word] for word in words]


def _invent(count: int, rng: Random) -> Words:
    """`count` different pronounceable words."""
    words: dict[str, None] = {}
    while len(words) < count:
        syllables = rng.choice((2, 3))
        words["".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(syllables))] = None
    return list(words)


Document = list[Example]
Task = Callable[[Person, str, str], Example]


def statement(person: Person, relation: str, value: str) -> Words:
    """`relation of first last value .`"""
    return [relation, "of", *person, value, "."]


def question(person: Person, relation: str, value: str) -> Example:
    """`ask relation of first last` and the answer `value .`"""
    return Example(["ask", relation, "of", *person], [value, "."])


def recall(world: World, person: Person, relation: str) -> Example:
    """A question about a known person, closed book."""
    return question(person, relation, world.facts[person][relation])


def quote(person: Person, relation: str, value: str) -> Example:
    """`quote relation :` and the sentence of the passage that states it."""
    return Example(["quote", relation, ":"], statement(person, relation, value))


def listing(world: World, which: tuple[int, str, str], rng: Random) -> Example:
    """A list of `n` different values of a relation that begins with the named one."""
    n, relation, start = which
    others = [v for v in world.values[relation] if v != start]
    items = [start, *rng.sample(others, n - 1)]
    answer = [word for item in items for word in (item, ",")]
    return Example(["list", str(n), relation, "from", start, ":"], [*answer[:-1], "."])


def read(world: World, people: list[Person], ask: Task, count: int, rng: Random) -> Document:
    """A passage about three of `people` and `count` tasks (`question` or `quote`) on it.

    The three sentences state three relations of three people.
    """
    facts = [
        (person, relation, rng.choice(world.values[relation]))
        for person, relation in zip(rng.sample(people, 3), rng.sample(RELATIONS, 3), strict=True)
    ]
    passage = [word for fact in facts for word in statement(*fact)]
    first, *others = [ask(*fact) for fact in rng.sample(facts, count)]
    return [Example(passage + first.prompt, first.answer), *others]
