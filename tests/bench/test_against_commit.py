"""The comparison of two commits: its driver against the fake server, and its arithmetic."""

import json
import subprocess
import sys
from unittest.mock import Mock

from backdrop.testing import FakeBackdrop
from bench.against_commit import (
    LONELY,
    NAME,
    REAL,
    THROUGHPUT,
    Round,
    Settings,
    Side,
    Sides,
    _as_json,
    busy_of,
    figures,
    losses,
)
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


def test_a_loss_is_positive_in_every_quantity() -> None:
    worse = losses([Round(THROUGHPUT, 2, 1), Round(LONELY, 1, 2), Round(busy_of(REAL), 0.8, 0.4)])
    assert [*worse.values()] == [[50], [100], [50]]
    better = losses([Round(THROUGHPUT, 1, 2), Round(LONELY, 2, 1), Round(busy_of(REAL), 0.4, 0.8)])
    assert [*better.values()] == [[-100], [-50], [-100]]


def test_the_figure_is_the_worst_median() -> None:
    rounds = [Round(THROUGHPUT, 1, pictures_s) for pictures_s in (0.5, 0.96, 1.0)]
    worst, *each = figures([*rounds, Round(LONELY, 1, 1.01)], Settings("abc1234"))
    assert (worst.value, worst.met) == (4.0, False)
    assert worst.spread == "throughput; 3 turns each against abc1234"
    assert [figure.value for figure in each] == [4.0, 1.0]


def test_the_sides_take_turns() -> None:
    before, after = Mock(Side), Mock(Side)
    order: list[Side] = []

    def one(side: Side) -> float:
        order.append(side)
        return 1.0 if side is before else 2.0

    rounds = [*Sides(before, after).turns(THROUGHPUT, 2, one)]
    assert order == [before, after, after, before]
    assert rounds == [Round(THROUGHPUT, 1.0, 2.0)] * 2
