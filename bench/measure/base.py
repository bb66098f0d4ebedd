"""What a measurement is: its settings, one round of it, and the figures that come of all its rounds."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from bench.arms.pool import ArmPool
from bench.figures import Figure, Mark
from bench.load import spread
from bench.rounds import RESULTS, Rounds, load

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

AREA = "performance"
S = TypeVar("S", bound="DataclassInstance")
R = TypeVar("R", bound="DataclassInstance")


@dataclasses.dataclass(frozen=True)
class Measurement(Generic[S, R]):
    """One measurement.

    Attributes:
        name: as the command line and the file of its results call it.
        settings: how much is measured, and of what.
        quick: the settings of `make bench-quick`; None leaves the measurement out there.
        kind: the rounds' dataclass.
        measure: one round, given the arms, the round's number from 0, and the settings.
        figures: what all rounds say, given the settings.
        rounds: how many there should be.
    """

    name: str
    settings: S
    quick: S | None
    kind: type[R]
    measure: Callable[[ArmPool, int, S], Awaitable[R]]
    figures: Callable[[Sequence[R], S], list[Figure]]
    rounds: int = 5

    def kept(self, *, quick: bool, folder: Path = RESULTS) -> Rounds[R]:
        """The rounds so far with these settings, to be continued."""
        return Rounds(self.name, self.settings_of(quick=quick), self.kind, folder)

    def settings_of(self, *, quick: bool) -> S:
        """The settings of a quick run or of a full one."""
        return self.quick if quick and self.quick is not None else self.settings

    def published(self) -> list[Figure]:
        """The figures of the rounds on disk, whichever machine they are from."""
        rounds = load(self.name, self.kind)
        return self.figures(rounds, self.settings) if rounds else []


def command(measurement: str) -> str:
    """What measures a figure again."""
    return f"python -m bench.performance {measurement}"


def median_figure(name: str, values: Sequence[float], mark: Mark, measurement: str, note: str = "") -> Figure:
    """The median of several rounds, with their range and a note."""
    result = spread(values)
    text = f"{result}; {note}" if note else str(result)
    return Figure(name, significant(result.median), mark, command(measurement), text)


def significant(value: float) -> float:
    """Three significant digits, as many as rounds that differ by percents support."""
    return float(f"{value:.3g}")


def rotated(names: Sequence[str], number: int) -> list[str]:
    """The names, starting elsewhere in each round, so that none always runs on a machine that another has warmed."""
    start = number % len(names)
    return [*names[start:], *names[:start]]
