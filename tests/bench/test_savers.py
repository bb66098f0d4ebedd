"""What an option saves and loses, from pairs."""

import pytest

from bench.figures import at_least
from bench.measure.savers import DROPS, WINDOWS, Outcome, Round, Settings, equal, figures, saved_and_lost


def pair(rows: int, reward: float) -> dict[str, Outcome]:
    return {"all": Outcome(40, 0.8), "half": Outcome(rows, reward)}


def test_rows_and_rewards_are_compared_pair_by_pair() -> None:
    rounds = [Round((pair(30, 0.81), pair(30, 0.79))), Round((pair(30, 0.83),))]
    saved, change, error = saved_and_lost(rounds, "half")
    assert saved == pytest.approx(0.25)
    assert change == pytest.approx(0.01)
    assert error == pytest.approx(0.02 / 3**0.5)


@pytest.mark.parametrize(
    ("change", "error", "same"), [(0.0, 0.01, True), (0.05, 0.001, True), (-0.005, 0.004, True), (-0.005, 0.001, False),
                                  (-0.02, 0.05, False)],
)  # fmt: skip
def test_equal_is_neither_a_large_loss_nor_a_sure_one(change: float, error: float, same: bool) -> None:
    assert equal(change, error) is same


def test_the_figure_is_the_most_that_costs_nothing() -> None:
    pairs = tuple(pair(30, 0.8 + noise) | {"bad": Outcome(10, 0.5)} for noise in (-0.01, 0.01))
    settings = Settings(("half", "bad"), 2, variants=1, top_k=1)
    best, *each = figures([Round(pairs)], settings, "window", at_least(0.2), "guidance-window")
    assert (best.value, best.met) == (0.25, True)
    assert [one.value for one in each] == [0.25, 0.75]
    assert all(one.mark.value is None for one in each)


def test_options_can_be_asked_for() -> None:
    assert all(0 <= start < stop <= 1 for start, stop in WINDOWS.values())
    for rounds in DROPS.values():
        keeps = [8, *(each.keep for each in rounds)]
        afters = [0.0, *(each.after or 0.0 for each in rounds if each.draft_steps is None), 1.0]
        assert keeps == sorted(set(keeps), reverse=True)
        assert keeps[-1] >= 2
        assert afters == sorted(set(afters))
