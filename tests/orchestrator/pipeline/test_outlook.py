"""The outlook: the least time that a request needs, its deadline, and that old durations are not used."""

import math
import time
from typing import Any

import pytest

from backdrop.contract.parts import DroppingRound
from backdrop.errors import DeadlineExceededError, Reason
from orchestrator.events import Stage
from orchestrator.pipeline.outlook import Outlook
from orchestrator.pipeline.pace import Pace
from orchestrator.pipeline.progress import Progress
from tests.orchestrator.small import request

KIND = ("small", True, 1.0)


def outlook(pace: Pace, kind: tuple[str, float] = KIND, **changes: Any) -> tuple[Outlook, Progress]:
    progress = Progress(100)
    return Outlook(pace, kind, request(steps=10, **changes).sequential_steps, progress), progress


def test_a_request_needs_its_steps_and_the_stages_around_them_at_their_best() -> None:
    pace = Pace()
    expected, progress = outlook(pace)
    assert expected.need_s() == 0
    for seconds in (0.3, 0.2, 0.4):
        pace.record(KIND, Stage.DENOISE, seconds)
    for stage in (Stage.ENCODE, Stage.DECODE):
        pace.record(KIND, stage, 0.5)
    assert expected.need_s() == pytest.approx(10 * 0.2 + 2 * 0.5)
    with progress.stage(Stage.ENCODE):
        time.sleep(0.02)
        assert 10 * 0.2 + 0.9 < expected.need_s() <= 10 * 0.2 + 2 * 0.5 - 0.02
    assert expected.need_s() == pytest.approx(10 * 0.2 + 0.5), "the stage is over, sooner than the minimum"
    expected.step(4, 0.2)
    expected.step(3, 0.2)  # another variant
    assert expected.need_s() == pytest.approx(6 * 0.2 + 0.5)


def test_a_drafts_steps_count_too() -> None:
    pace = Pace()
    pace.record(KIND, Stage.DENOISE, 0.2)
    expected, _ = outlook(pace, variants=4, dropping=(DroppingRound(2, draft_steps=3),))
    assert expected.need_s() == pytest.approx(13 * 0.2)
    expected.step(3, 0.2)
    assert expected.need_s() == pytest.approx(10 * 0.2)


def test_the_next_request_of_a_kind_starts_from_the_durations_of_the_last() -> None:
    pace = Pace()
    first, progress = outlook(pace)
    with progress.stage(Stage.DECODE):
        time.sleep(0.01)
    first.finished()
    assert outlook(pace)[0].need_s() >= 0.01
    assert outlook(pace, ("small", True, 4.0))[0].need_s() == 0, "another size has a pace of its own"


def test_a_deadline_below_the_need_is_refused() -> None:
    pace = Pace()
    expected, _ = outlook(pace)
    expected.check(time.monotonic() + 0.1)
    pace.record(KIND, Stage.DENOISE, 0.2)
    expected.check(math.inf)
    expected.check(time.monotonic() + 3)
    with pytest.raises(DeadlineExceededError, match=r"10 steps take at least 2\.00 s") as caught:
        expected.check(time.monotonic() + 1)
    assert caught.value.reason is Reason.DEADLINE_TOO_SHORT


def test_old_durations_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    pace = Pace()
    expected, _ = outlook(pace)
    pace.record(KIND, Stage.DENOISE, 0.1)
    later = time.monotonic() + 601
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert expected.need_s() == 0
    pace.record(KIND, Stage.DENOISE, 0.2)
    assert expected.need_s() == pytest.approx(2.0), "durations from before that do not come back"
