"""The pace: the best step of late says what is hopeless, and is not believed for ever."""

import time

import pytest

from backdrop.errors import DeadlineExceededError, Reason
from orchestrator.pace import Pace
from tests.orchestrator.small import job


def test_the_best_step_of_late_times_the_steps_is_the_best_case() -> None:
    pace, asked = Pace(), job(steps=10)
    assert pace.best_case_s(asked) == 0
    for seconds in (0.3, 0.2, 0.4):
        pace.record(asked.pipeline.name, seconds)
    assert pace.best_case_s(asked) == pytest.approx(2.0)


def test_a_deadline_below_it_is_refused() -> None:
    pace, asked = Pace(), job(steps=10)
    pace.check(asked, time.monotonic() + 0.1)
    pace.record(asked.pipeline.name, 0.2)
    pace.check(asked, None)
    pace.check(asked, time.monotonic() + 3)
    with pytest.raises(DeadlineExceededError, match=r"10 steps take at least 2\.00 s") as caught:
        pace.check(asked, time.monotonic() + 1)
    assert caught.value.reason is Reason.DEADLINE_TOO_SHORT


def test_a_pace_that_was_slow_once_is_forgotten_when_nothing_has_run_since(monkeypatch: pytest.MonkeyPatch) -> None:
    pace, asked = Pace(), job(steps=10)
    pace.record(asked.pipeline.name, 60.0)
    later = time.monotonic() + 601
    monkeypatch.setattr(time, "monotonic", lambda: later)
    pace.check(asked, later + 5)
    pace.record(asked.pipeline.name, 0.2)
    assert pace.best_case_s(asked) == pytest.approx(2.0), "what was slow before does not come back"
