"""What a method can be given beside its pattern: a learning rate, a decay, options as `key=value`.

A setting is called by its name, "lr" and "decay" for the first two.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, get_args, get_origin, get_type_hints

from sparsat.algo.methods import METHODS, Method
from sparsat.algo.training.errors import TrainError
from sparsat.algo.training.plan import plan_for

NUMBERS = ("lr", "decay")
"""Settings that a run has fields of its own for."""
GIVEN = ("seed", "total_steps")
"""Options of methods that follow from the run."""


def split(entries: Iterable[str]) -> dict[str, str]:
    """`key=value` entries by key. Raises `TrainError` for others, and where a key comes twice."""
    found: dict[str, str] = {}
    for entry in entries:
        key, equals, text = entry.partition("=")
        if not (key and equals):
            raise TrainError(f"option {entry!r} is not of the form key=value")
        if key in NUMBERS:
            raise TrainError(f"option {key!r} has a place of its own: --{key}")
        if key in found:
            raise TrainError(f"option {key!r} is given twice")
        found[key] = text
    return found


def check(own: Iterable[str], methods: Sequence[str]) -> None:
    """Raise `TrainError` for a setting that none of `methods` has."""
    known = list(dict.fromkeys(name for method in methods for name in _names(method)))
    for name in own:
        if name not in known:
            allowed = ", ".join(known) or "none"
            raise TrainError(f"no setting {name!r} of {', '.join(methods)}; allowed: {allowed}")


def of_method(method: str, own: Mapping[str, float | str]) -> dict[str, Any]:
    """Those of `own` that `method` has, as fields of `RunConfig`; options come as text."""
    mine = {name: value for name, value in own.items() if name in _names(method)}
    numbers = {name: mine.pop(name) for name in NUMBERS if name in mine}
    options = {name: _value(method, name, str(text)) for name, text in mine.items()}
    return {**numbers, "options": options}


def _names(method: str) -> list[str]:
    trained = ["lr"] if plan_for(method).trains else []
    return trained + [name for name in _kinds(method) if name not in GIVEN]


def _kinds(method: str) -> dict[str, Any]:
    """Option → its type; none of an unknown method, which `RunConfig` refuses."""
    kind = METHODS.get(method, Method)
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _value(method: str, name: str, text: str) -> Any:
    try:
        return _read(_kinds(method)[name], text)
    except ValueError:
        default = getattr(METHODS[method], name)
        like = ",".join(map(str, default)) if isinstance(default, tuple) else default
        raise TrainError(
            f"option {name} is {text!r}, which {method} cannot read; its default is {like}"
        ) from None


def _read(kind: Any, text: str) -> Any:
    """`text` as a number, a string, a list by comma, or the first of a union that it fits."""
    members = get_args(kind)
    if get_origin(kind) is tuple:
        return [_read(m, part) for m, part in zip(members, text.split(","), strict=True)]
    if members:
        return _first_that_fits(members, text)
    value = kind(text)
    if kind is float and not math.isfinite(value):
        raise ValueError(text)
    return value


def _first_that_fits(kinds: Iterable[Any], text: str) -> Any:
    for kind in kinds:
        try:
            return _read(kind, text)
        except ValueError:
            continue
    raise ValueError(text)
