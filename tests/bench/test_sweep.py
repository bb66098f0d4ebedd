"""The sweeps' arithmetic: requests of all rounds counted together, and the simulation of orders that cost nothing."""

import math

import pytest

from bench.emulated.ideal import Request, monolith, orders
from bench.goodput import Sweep, goodput, rates, ratio, shares
from bench.measure.sweep import Settings, sweep_figures

IN_TIME, LATE, NEVER = 1.0, 3.0, math.inf


def sweep(backdrop: dict[float, tuple[float, ...]], monolith: dict[float, tuple[float, ...]]) -> Sweep:
    return Sweep((8, 8), {}, {"backdrop": backdrop, "monolith": monolith})


def test_a_request_that_was_not_answered_is_late_by_any_factor() -> None:
    assert goodput([IN_TIME, 2.0, LATE, NEVER], 2.0) == 0.5
    assert goodput([NEVER], 1e9) == 0.0


def test_the_rounds_are_counted_together_and_a_sweep_that_ended_has_none_in_time() -> None:
    rounds = [
        sweep({0.5: (IN_TIME, IN_TIME), 1.0: (IN_TIME, LATE)}, {0.5: (LATE, NEVER)}),
        sweep({0.5: (IN_TIME, LATE)}, {0.5: (IN_TIME, IN_TIME)}),
    ]
    assert shares(rounds, "backdrop", 2.0) == {0.5: 0.75, 1.0: 0.25}
    assert shares(rounds, "monolith", 2.0) == {0.5: 0.5}
    # From 1 at no load to 0.75 and 0.5 at half: 0.9 is passed at 0.2 and 0.1.
    assert rates(rounds, 2.0) == pytest.approx({"backdrop": 0.2, "monolith": 0.1})
    assert ratio(rounds, 2.0) == pytest.approx(2.0)


def test_the_spread_is_what_it_would_be_without_a_round() -> None:
    rounds = [sweep({0.5: (IN_TIME, LATE)}, {0.5: (each, LATE)}) for each in (IN_TIME, LATE)]
    settings = Settings((8,), 2, 2.0, (0.5,))
    marked = next(one for one in sweep_figures(rounds, settings, "on paper", "poisson") if one.mark.value)
    assert (marked.value, marked.mark.value, marked.met) == (1.5, 2.0, False)
    assert marked.spread.startswith("1–2 without one of 2 rounds; loads 0.10 and 0.07 of 1 ÷ solo, 4 requests at each")


def test_a_patient_sweep_is_for_the_factors_above_the_mark() -> None:
    rounds = [sweep({0.5: (IN_TIME, LATE)}, {0.5: (IN_TIME, LATE)})]
    (figure,) = sweep_figures(rounds, Settings((8,), 2, 5.0, (0.5,)), "on paper", "patient")
    assert "within 5× solo" in figure.name
    assert figure.mark.value is None


def test_looking_at_deadlines_saves_one_of_two_that_would_both_be_late() -> None:
    def served(name: str) -> list[bool]:
        # A row is a batch's whole cost, so two that alternate take twice as long each.
        requests = [Request(0.0, 4, 5.0), Request(0.0, 4, 5.0)]
        orders(lambda rows: rows / 2)[name](requests)
        return [one.ended <= one.due for one in requests]

    assert served("alternate") == [False, False]
    assert served("together") == [False, False]
    assert served("in time") == [True, False]


def test_the_monolith_makes_who_comes_late_wait_for_all_of_a_batch() -> None:
    requests = [Request(0.0, 4, math.inf), Request(0.5, 1, math.inf)]
    monolith(requests, lambda rows: 1.0)
    assert [one.ended for one in requests] == [4.0, 5.0]
