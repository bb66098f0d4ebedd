"""What a table of a scheduler class consists of, and the kinds of values that its keys have."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from export.keys.rules import Rule, Served


@dataclass(frozen=True)
class SchedulerClass:
    """A scheduler class of diffusers that is served."""

    solver: str
    """The solver that computes the same."""
    keys: Mapping[str, tuple[Any, Rule]]
    """Every argument of its `__init__`, with its default."""
    hidden: Mapping[str, Rule]
    """Keys of other classes that it reads all the same, if the config has them."""


def one_of(*values: str) -> Served:
    """Some words."""
    return Served(" or ".join(values), lambda value: value in values)


def number(words: str, fits: Callable[[float], bool], *, optional: bool = False) -> Served:
    """A number for which `fits` holds; null too where it is optional."""

    def check(value: Any) -> bool:
        if value is None:
            return optional
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and fits(value)

    return Served(f"{words}{' or null' if optional else ''}", check)


def whole(words: str, least: int) -> Served:
    """An integer from `least` on."""
    return Served(words, lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least)


def betas(value: Any) -> bool:
    """Whether a value is null, or a list of numbers between 0 and 1."""
    return value is None or (isinstance(value, list) and bool(value) and all(map(FRACTION.fits, value)))


FLAG = Served("true or false", lambda value: isinstance(value, bool))
FRACTION = number("between 0 and 1", lambda value: 0 < value < 1)
POSITIVE = number("above 0", lambda value: value > 0)
OPTIONAL_POSITIVE = number("above 0", lambda value: value > 0, optional=True)
OFF = (False, None)
