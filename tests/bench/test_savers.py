"""What an option saves and loses, from pairs."""

import pytest

from bench.measure.savers import DROPS, WINDOWS, equal, figures, saved_and_lost


def pair(rows: int, reward: float) -> dict[str, dict[str, float]]:
    return {"all": {"row_steps": 40, "reward": 0.8}, "half": {"row_steps": rows, "reward": reward}}


def test_rows_and_rewards_are_compared_pair_by_pair() -> None:
    rounds = [{"pairs": [pair(30, 0.81), pair(30, 0.79)]}, {"pairs": [pair(30, 0.83)]}]
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
    rounds = [
        {"pairs": [{**pair(30, 0.8 + noise), "bad": {"row_steps": 10, "reward": 0.5}} for noise in (-0.01, 0.01)]}
    ]
    best, *each = figures(rounds, {"options": ["half", "bad"]}, "window", 0.2, "guidance-window")
    assert (best.value, best.met) == (0.25, True)
    assert [one.value for one in each] == [0.25, 0.75]
    assert all(one.mark is None for one in each)


def test_options_can_be_asked_for() -> None:
    assert all(0 <= start < stop <= 1 for start, stop in WINDOWS.values())
    for rounds in DROPS.values():
        keeps = [8, *(each.keep for each in rounds)]
        afters = [0.0, *(each.after for each in rounds if each.draft_steps is None), 1.0]
        assert keeps == sorted(set(keeps), reverse=True)
        assert keeps[-1] >= 2
        assert afters == sorted(set(afters))
