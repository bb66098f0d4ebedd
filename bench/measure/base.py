"""What a measurement is: its settings, one round of it, and the figures that come of all its rounds."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from bench.arms.company import Company
from bench.figures import Figure
from bench.load import Spread, spread
from bench.rounds import Round

AREA = "performance"


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One measurement.

    Attributes:
        name: as the command line and the file of its results call it.
        settings: what is measured; "quick" replaces some of it.
        quick: the settings of `make bench-quick`; None leaves it out there.
        measure: one round, given the arms, the round's number from 0, and the settings.
        figures: what all rounds say, given the settings.
        rounds: how many there should be.
    """

    name: str
    settings: Mapping[str, Any]
    quick: Mapping[str, Any] | None
    measure: Callable[[Company, int, Mapping[str, Any]], Awaitable[Round]]
    figures: Callable[[Sequence[Round], Mapping[str, Any]], list[Figure]]
    rounds: int = 5

    def command(self) -> str:
        """What measures it again."""
        return f"python -m bench.performance {self.name}"


def figure(
    name: str, values: Sequence[float], mark: float | None, better: str, measurement: str, note: str = ""
) -> Figure:
    """The median of several rounds, with their range and a note beside it."""
    found = spread(values)
    return Figure(
        name, significant(found.median), mark, better, f"python -m bench.performance {measurement}", _said(found, note)
    )


def significant(value: float) -> float:
    """Three significant digits: what rounds that differ by percents can carry."""
    return float(f"{value:.3g}")


def rotated(names: Sequence[str], number: int) -> list[str]:
    """The names, begun elsewhere in each round, so that none always runs on a machine that another has warmed."""
    start = number % len(names)
    return [*names[start:], *names[:start]]


def _said(found: Spread, note: str) -> str:
    return f"{found}; {note}" if note else str(found)
