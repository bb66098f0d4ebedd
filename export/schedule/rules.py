"""What a table of a scheduler class consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from export.keys.rules import Rule
from export.keys.values import FRACTION


@dataclass(frozen=True)
class SchedulerClass:
    """A scheduler class of diffusers that is served."""

    solver: str
    """The solver that computes the same."""
    keys: Mapping[str, tuple[Any, Rule]]
    """Every argument of its `__init__`, with its default."""
    hidden: Mapping[str, Rule]
    """Keys of other classes that it reads all the same, if the config has them."""


def betas(value: Any) -> bool:
    """Whether a value is null, or a list of numbers between 0 and 1."""
    return value is None or (isinstance(value, list) and bool(value) and all(map(FRACTION.fits, value)))


OFF = (False, None)
