"""The pace: minima of recent durations, each kind of request on its own, none older than ten minutes."""

import time

import pytest

from orchestrator.events import Stage
from orchestrator.pipeline.pace import Pace

KIND = ("small", True, 1.0)


def test_the_minimum_of_each_stage_is_kept() -> None:
    pace = Pace()
    for seconds in (0.3, 0.2, 0.4):
        pace.record(KIND, Stage.DENOISE, seconds)
    pace.record(KIND, Stage.ENCODE, 0.5)
    assert pace.best(KIND) == {Stage.DENOISE: 0.2, Stage.ENCODE: 0.5}
    assert pace.best(("small", True, 4.0)) == {}


def test_a_minimum_leaves_with_the_256th_later_duration() -> None:
    pace = Pace()
    pace.record(KIND, Stage.DENOISE, 0.1)
    for _ in range(255):
        pace.record(KIND, Stage.DENOISE, 0.2)
    assert pace.best(KIND)[Stage.DENOISE] == 0.1
    pace.record(KIND, Stage.DENOISE, 0.2)
    assert pace.best(KIND)[Stage.DENOISE] == 0.2


def test_minima_end_ten_minutes_after_the_last_duration(monkeypatch: pytest.MonkeyPatch) -> None:
    pace = Pace()
    pace.record(KIND, Stage.DENOISE, 0.1)
    later = time.monotonic() + 601
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert pace.best(KIND) == {}
    pace.record(KIND, Stage.DENOISE, 0.2)
    assert pace.best(KIND) == {Stage.DENOISE: 0.2}
