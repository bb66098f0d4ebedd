"""Schedules of early dropping, played on rewards that are known."""

from __future__ import annotations

import numpy as np
import pytest

from bench.dropping import LOOKS, STEPS, VARIANTS, agreement, frontier, play, schedules, told


def rewards(late: int) -> np.ndarray:
    """Four orders whose estimates are right from the step `late` on, and before it the wrong way round."""
    ends = np.stack([np.roll(np.linspace(0.1, 0.8, VARIANTS), shift) for shift in range(4)])
    looks = [ends if look >= late else 1 - ends for look in LOOKS]
    return np.stack([*looks, ends], axis=-1)


def test_rounds_that_come_late_enough_lose_nothing() -> None:
    saved, change, error = play(rewards(late=8), ((8, 5), (12, 3)))
    assert saved == pytest.approx(1 - (8 * 8 + 5 * 4 + 3 * 8) / (VARIANTS * STEPS))
    assert (change, error) == (0, 0)


def test_rounds_that_come_too_early_lose_the_best() -> None:
    _, change, _ = play(rewards(late=12), ((8, 5), (12, 3)))
    # The best three are gone: the fourth and fifth come back instead of the first two.
    assert change == pytest.approx(-0.3)


def test_the_best_schedule_saves_what_is_asked_for() -> None:
    rounds, saved, change, _ = frontier(rewards(late=10), 0.3)
    assert saved >= 0.3
    assert change == 0
    assert rounds[0][0] >= 10


def test_schedules_are_later_and_fewer_from_round_to_round() -> None:
    for rounds in schedules():
        afters, keeps = zip(*rounds, strict=True)
        assert list(afters) == sorted(set(afters))
        assert list(keeps) == sorted(set(keeps), reverse=True)


def test_agreement_and_words() -> None:
    assert agreement(rewards(late=10), 8) == pytest.approx(-1)
    assert agreement(rewards(late=10), 10) == pytest.approx(1)
    assert told(((8, 5), (12, 3))) == "5 at 0.4, 3 at 0.6"
