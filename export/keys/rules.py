"""The decisions about a key of a config: followed, without effect, or refused unless its value does nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Served:
    """Some values are followed, the others refused."""

    values: str
    """The values that are served, in words."""
    fits: Callable[[Any], bool]

    def problem(self, value: Any) -> str | None:
        """Why a value is refused; None where it is not."""
        return None if self.fits(value) else f"it must be {self.values}"


@dataclass(frozen=True)
class Read:
    """Every value is followed."""

    by: str
    """What reads the key."""

    def problem(self, value: Any) -> str | None:
        """Never a problem here; what reads the key refuses values of its own."""
        return None


@dataclass(frozen=True)
class Needed:
    """The export computes with the key itself, so that its value has to be one that it can compute with."""

    values: Served
    default: Any
    """That of the library's class: what a config without the key means."""

    def problem(self, value: Any) -> str | None:
        """Why a value is refused; None where it is not."""
        return self.values.problem(value)


@dataclass(frozen=True)
class NoEffect:
    """No value of the key changes a picture that is served."""

    why: str

    def problem(self, value: Any) -> str | None:
        """Never a problem."""
        return None


@dataclass(frozen=True)
class Only:
    """The key is refused, unless it has a value by which it does nothing."""

    neutral: tuple[Any, ...]
    why: str

    def problem(self, value: Any) -> str | None:
        """Why a value is refused; None where it is neutral."""
        return None if value in self.neutral else self.why


Rule: TypeAlias = Served | Read | Needed | NoEffect | Only
