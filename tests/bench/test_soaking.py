"""The slope of a quantity, with an interval that says how sure it is."""

import random

import pytest

from bench.soaking import slope


def test_a_line_has_its_slope_and_no_doubt() -> None:
    line = slope([(60.0 * minute, 100.0 + minute / 6) for minute in range(60)])
    assert line.an_hour == pytest.approx(10.0)
    assert line.half_width == pytest.approx(0.0, abs=1e-9)


def test_noise_without_growth_is_within_the_interval() -> None:
    within = 0
    for seed in range(200):
        dice = random.Random(seed)
        noise = slope([(60.0 * minute, dice.gauss(100.0, 3.0)) for minute in range(60)])
        within += abs(noise.an_hour) <= noise.half_width
    assert 175 <= within <= 199, "95 % of 200"


def test_the_warm_up_does_not_count() -> None:
    grown = slope([(60.0 * minute, min(minute, 10) * 50.0) for minute in range(60)])
    assert grown.an_hour == pytest.approx(0.0)


def test_few_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="12 are needed"):
        slope([(0.0, 1.0)] * 8)
