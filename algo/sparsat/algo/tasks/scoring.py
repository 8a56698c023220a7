"""Scores of generated answers. Each looks at the answer alone, never at the prompt.

An empty answer scores 0 and every mean divides by the number of examples that were scored.
"""

from collections.abc import Sequence

Words = Sequence[str]


def exact_match(answer: Words, reference: Words) -> float:
    """1 if the answer is the reference word by word, else 0."""
    return float(len(answer) > 0 and list(answer) == list(reference))


def rouge_l(answer: Words, reference: Words) -> float:
    """F1 of the longest common subsequence (Lin 2004, with equal weights)."""
    if not answer or not reference:
        return 0.0
    common = _longest_common_subsequence(answer, reference)
    return 2 * common / (len(answer) + len(reference))


def _longest_common_subsequence(a: Words, b: Words) -> int:
    row = [0] * (len(b) + 1)
    for x in a:
        previous = row
        row = [0]
        for j, y in enumerate(b):
            row.append(previous[j] + 1 if x == y else max(row[j], previous[j + 1]))
    return row[-1]


def distinct(answers: Sequence[Words], n: int) -> float:
    """Share of different n-grams among all n-grams of all answers; 0 without any."""
    grams = [tuple(a[i : i + n]) for a in answers for i in range(len(a) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 0.0


def follows_format(answer: Words, count: int, allowed: Words, start: str) -> float:
    """1 if the answer is `start , x , … .`: `count` different items, all of them `allowed`."""
    if len(answer) != 2 * count or answer[-1] != ".":
        return 0.0
    items, commas = answer[0::2], answer[1:-1:2]
    in_form = all(comma == "," for comma in commas) and items[0] == start
    return float(in_form and len(set(items)) == count and set(items) <= set(allowed))
