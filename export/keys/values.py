"""The kinds of values that keys of configs have, in words and as checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from export.keys.rules import Served

LARGEST = 1e38
"""Beyond it FP32 ends, and an integer of JSON may be beyond every float."""


def is_whole(value: Any, least: int = 1, most: int = 10**9) -> bool:
    """Whether a value is an integer between two bounds; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def is_number(value: Any) -> bool:
    """Whether a value is a finite number; true and false are none."""
    # An integer of JSON may be beyond every float.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < LARGEST


def one_of(*values: str) -> Served:
    """Some words."""
    return Served(" or ".join(values), lambda value: value in values)


def number(words: str, fits: Callable[[float], bool], *, optional: bool = False) -> Served:
    """A number for which `fits` holds; null too where it is optional."""
    return Served(
        f"{words}{' or null' if optional else ''}",
        lambda value: optional if value is None else is_number(value) and fits(value),
    )


def whole(words: str, least: int, most: int = 10**9) -> Served:
    """An integer between two bounds."""
    return Served(words, lambda value: is_whole(value, least, most))


def counts(value: Any) -> bool:
    """Whether a value is a list of at least one integer from 1 on."""
    return isinstance(value, list) and bool(value) and all(map(is_whole, value))


FLAG = Served("true or false", lambda value: isinstance(value, bool))
FRACTION = number("between 0 and 1", lambda value: 0 < value < 1)
POSITIVE = number("above 0", lambda value: value > 0)
OPTIONAL_POSITIVE = number("above 0", lambda value: value > 0, optional=True)
NUMBER = number("a number", lambda value: True)
OPTIONAL_NUMBER = number("a number", lambda value: True, optional=True)
COUNT = whole("an integer from 1 on", 1)
OPTIONAL_COUNT = Served("an integer from 1 on, or null", lambda value: value is None or is_whole(value))
COUNTS = Served("a list of integers from 1 on", counts)
SIDES = Served(
    "an integer from 1 on, two of them (height, width), or null",
    lambda value: value is None or is_whole(value) or (counts(value) and len(value) == 2),
)
