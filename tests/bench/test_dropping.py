"""Schedules of early dropping, played on rewards that are example."""

from __future__ import annotations

import numpy as np
import pytest

from bench.dropping import DRAFTS, LOOKS, STEPS, VARIANTS, Rewards, Schedule, agreement, frontier, play, schedules


def rewards(late: int) -> Rewards:
    """Four requests whose drafts and estimates are right from the step `late` on, and before the wrong way round."""
    ends = np.stack([np.roll(np.linspace(0.1, 0.8, VARIANTS), shift) for shift in range(4)])
    drafts, estimates = (
        np.stack([ends if steps >= late else 1 - ends for steps in each], axis=-1) for each in (DRAFTS, LOOKS)
    )
    return Rewards(drafts, estimates, ends)


def test_rounds_that_come_late_enough_lose_nothing() -> None:
    saved, change, error = play(rewards(late=8), Schedule(None, ((8, 5), (12, 3))))
    assert saved == pytest.approx(1 - (8 * 8 + 5 * 4 + 3 * 8) / (VARIANTS * STEPS))
    assert (change, error) == (0, 0)


def test_rounds_that_come_too_early_lose_the_best() -> None:
    _, change, _ = play(rewards(late=12), Schedule(None, ((8, 5), (12, 3))))
    # The best three are gone: the fourth and fifth come back instead of the first two.
    assert change == pytest.approx(-0.3)


def test_drafts_cost_their_steps_and_variants_that_go_on_take_all() -> None:
    saved, change, _ = play(rewards(late=5), Schedule((5, 4), ((12, 3),)))
    assert saved == pytest.approx(1 - (8 * 5 + 4 * 12 + 3 * 8) / (VARIANTS * STEPS))
    assert change == 0
    _, change, _ = play(rewards(late=6), Schedule((5, 4)))
    assert change == pytest.approx(-0.4)


@pytest.mark.parametrize("drafts", [True, False])
def test_the_best_schedule_saves_what_is_asked_for(drafts: bool) -> None:
    schedule, saved, change, _ = frontier(rewards(late=6), 0.3, drafts=drafts)
    assert saved >= 0.3
    assert change == 0
    assert (schedule.draft is not None) == drafts


def test_schedules_are_later_and_fewer_from_round_to_round() -> None:
    for schedule in [*schedules(drafts=True), *schedules(drafts=False)]:
        afters, keeps = zip(*[*([schedule.draft] if schedule.draft else []), *schedule.rounds], strict=True)
        late = afters[1:] if schedule.draft else afters
        assert list(late) == sorted(set(late))
        assert list(keeps) == sorted(set(keeps), reverse=True)


def test_agreement_and_words() -> None:
    example = rewards(late=10)
    assert agreement(example.estimates[:, :, LOOKS.index(8)], example.ends) == pytest.approx(-1)
    assert agreement(example.estimates[:, :, LOOKS.index(10)], example.ends) == pytest.approx(1)
    assert str(Schedule((6, 5), ((8, 4), (12, 3)))) == "5 of drafts of 6 steps, 4 at 0.4, 3 at 0.6"
