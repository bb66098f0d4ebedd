"""The comparison of two commits: its driver against the fake server, and its arithmetic."""

import json
import subprocess
import sys

import pytest

from backdrop.testing import FakeBackdrop
from bench.against_commit import NAME, Round, Settings, Speed, _as_json, figures, losses
from bench.figures import ROOT
from bench.requests import requests


def test_the_driver_sends_what_it_is_told_to() -> None:
    batch = [_as_json(one) for one in requests(NAME, 0).take(3, steps=2)]
    commands = [
        {"do": "closed", "clients": 2, "requests": batch},
        {"do": "start", "requests": batch},
        {"do": "stop"},
    ]
    with FakeBackdrop() as fake:
        driver = subprocess.run(
            [sys.executable, "-P", str(ROOT / "bench" / "sdk_driver.py"), fake.endpoint],
            input="".join(json.dumps(command) + "\n" for command in commands),
            capture_output=True, text=True, check=True, timeout=60, env={"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    answers = [json.loads(line) for line in driver.stdout.splitlines()]
    assert len(answers[0]["latencies_s"]) == 3
    assert answers[0]["wall_s"] > 0
    assert answers[1:] == [{}, {}]


def speed(pictures_s: float, lonely_s: float, busy: float) -> Speed:
    return Speed(pictures_s, lonely_s, {"CPU": busy})


def test_a_loss_is_positive_in_every_quantity() -> None:
    (worse,) = zip(*losses([Round(speed(2, 1, 0.8), speed(1, 2, 0.4))]).values(), strict=True)
    assert worse == pytest.approx((50, 100, 50))
    (better,) = zip(*losses([Round(speed(1, 2, 0.4), speed(2, 1, 0.8))]).values(), strict=True)
    assert better == pytest.approx((-100, -50, -100))


def test_the_figure_is_the_worst_median() -> None:
    rounds = [Round(speed(1, 1, 1), speed(pictures_s, 1.01, 1)) for pictures_s in (0.5, 0.96, 1.0)]
    worst, *each = figures(rounds, Settings("abc1234"))
    assert (worst.value, worst.met) == (4.0, False)
    assert worst.spread == "throughput; 3 rounds in turns against abc1234"
    assert [figure.value for figure in each] == [4.0, 1.0, 0.0]
