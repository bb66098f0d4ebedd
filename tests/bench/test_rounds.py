"""Rounds are kept, continued, and dropped when they have other settings."""

import math
from dataclasses import dataclass
from pathlib import Path

from bench.rounds import Rounds, load, origin, ratios


@dataclass(frozen=True)
class Settings:
    steps: int = 4
    arms: tuple[str, ...] = ("backdrop",)


@dataclass(frozen=True)
class Round:
    rates: dict[float, tuple[float, ...]]


def a_round(value: float) -> Round:
    return Round({0.5: (value, math.inf)})


def test_a_later_run_goes_on(tmp_path: Path) -> None:
    Rounds("speed", Settings(), Round, tmp_path).add(a_round(2.0))
    later = Rounds("speed", Settings(), Round, tmp_path)
    later.add(a_round(3.0))
    assert load("speed", Round, tmp_path) == later.done == [a_round(2.0), a_round(3.0)]
    assert origin("speed", tmp_path).commit


def test_other_settings_begin_anew(tmp_path: Path) -> None:
    Rounds("speed", Settings(steps=4), Round, tmp_path).add(a_round(2.0))
    assert Rounds("speed", Settings(steps=8), Round, tmp_path).done == []
    assert load("speed", Round, tmp_path), "nothing is lost before the first new round is there"


def test_forgetting(tmp_path: Path) -> None:
    Rounds("speed", Settings(), Round, tmp_path).add(a_round(1.0))
    rounds = Rounds("speed", Settings(), Round, tmp_path)
    rounds.clear()
    rounds.add(a_round(2.0))
    assert load("speed", Round, tmp_path) == [a_round(2.0)]


def test_ratios_are_made_within_a_round() -> None:
    assert ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]


def test_nothing_measured_is_no_rounds(tmp_path: Path) -> None:
    assert load("never", Round, tmp_path) == []
