"""The outlook: the least time that a request needs, its deadline, and that old durations are not used."""

import math
import time
from typing import Any

import pytest

from backdrop.errors import DeadlineExceededError, Reason
from orchestrator.domain import Dropping, Stage
from orchestrator.pipeline.outlook import Outlook
from orchestrator.pipeline.progress import Progress
from orchestrator.scheduling.pace import Pace
from tests.orchestrator.small import job

KIND = ("small", 1.0)


def outlook(pace: Pace, kind: tuple[str, float] = KIND, **changes: Any) -> tuple[Outlook, Progress]:
    progress = Progress(100)
    return Outlook(pace, kind, job(steps=10, **changes), progress), progress


def test_a_job_needs_its_steps_and_the_stages_around_them_at_their_best() -> None:
    pace = Pace()
    request, progress = outlook(pace)
    assert request.need_s() == 0
    for seconds in (0.3, 0.2, 0.4):
        pace.record(KIND, Stage.DENOISE, seconds)
    for stage in (Stage.ENCODE, Stage.DECODE):
        pace.record(KIND, stage, 0.5)
    assert request.need_s() == pytest.approx(10 * 0.2 + 2 * 0.5)
    with progress.stage(Stage.ENCODE):
        time.sleep(0.02)
        assert 10 * 0.2 + 0.9 < request.need_s() <= 10 * 0.2 + 2 * 0.5 - 0.02
    assert request.need_s() == pytest.approx(10 * 0.2 + 0.5), "it is over, sooner than ever before"
    request.step(4, 0.2)
    request.step(3, 0.2)  # another variant
    assert request.need_s() == pytest.approx(6 * 0.2 + 0.5)


def test_a_draft_is_on_the_way_too() -> None:
    pace = Pace()
    pace.record(KIND, Stage.DENOISE, 0.2)
    request, _ = outlook(pace, variants=4, dropping=(Dropping(2, draft_steps=3),))
    assert request.need_s() == pytest.approx(13 * 0.2)
    request.step(3, 0.2)
    assert request.need_s() == pytest.approx(10 * 0.2)


def test_what_a_job_took_is_known_to_the_next_of_its_kind() -> None:
    pace = Pace()
    first, progress = outlook(pace)
    with progress.stage(Stage.DECODE):
        time.sleep(0.01)
    first.finished()
    assert outlook(pace)[0].need_s() >= 0.01
    assert outlook(pace, ("small", 4.0))[0].need_s() == 0, "another size takes as long as it takes"


def test_a_deadline_below_it_is_refused() -> None:
    pace = Pace()
    request, _ = outlook(pace)
    request.check(time.monotonic() + 0.1)
    pace.record(KIND, Stage.DENOISE, 0.2)
    request.check(math.inf)
    request.check(time.monotonic() + 3)
    with pytest.raises(DeadlineExceededError, match=r"10 steps take at least 2\.00 s") as caught:
        request.check(time.monotonic() + 1)
    assert caught.value.reason is Reason.DEADLINE_TOO_SHORT


def test_a_pace_that_was_slow_once_is_forgotten_when_nothing_has_run_since(monkeypatch: pytest.MonkeyPatch) -> None:
    pace = Pace()
    request, _ = outlook(pace)
    pace.record(KIND, Stage.DENOISE, 0.1)
    later = time.monotonic() + 601
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert request.need_s() == 0
    pace.record(KIND, Stage.DENOISE, 0.2)
    assert request.need_s() == pytest.approx(2.0), "what was seen before that does not come back"
