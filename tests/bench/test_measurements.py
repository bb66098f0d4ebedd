"""One round of the measurements that need nothing but arms, over arms that answer at once."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from bench.arms.pool import ArmPool
from bench.measure import lonely, mixed, sweep, throughput
from bench.measure.base import Measurement
from bench.requests import BenchRequest


class QuickArm:
    """Takes a millisecond a step, and remembers the requests."""

    name = "quick"

    def __init__(self) -> None:
        self.requests: list[BenchRequest] = []

    async def generate(self, request: BenchRequest) -> bytes:
        self.requests.append(request)
        await asyncio.sleep(0.001 * request.steps)
        return b""


class QuickPool:
    def __init__(self) -> None:
        self.arms: dict[str, QuickArm] = {}

    async def get(self, name: str, start: Callable[[], Any] | None = None) -> QuickArm:
        return self.arms.setdefault(name, QuickArm())


SMALL: list[tuple[Measurement[Any, Any], Any]] = [
    (throughput.THROUGHPUT, throughput.Settings(2, 2, {"inprocess": 2, "backdrop": 4})),
    (lonely.LONELY, lonely.Settings(("inprocess", "backdrop"), 2, 2)),
    (mixed.MIXED, mixed.MixedSettings((2, 4), 4, 0.5)),
    (mixed.BURST, mixed.BurstSettings(2, 4)),
    *((one, sweep.Settings((2, 4), 4, one.settings.deadline, (0.1, 0.2))) for one in sweep.SWEEPS),
]


@pytest.mark.parametrize(("measurement", "settings"), SMALL, ids=[one.name for one, _ in SMALL])
async def test_a_round_has_figures_and_every_arm_meets_the_same_requests(
    measurement: Measurement[Any, Any], settings: Any
) -> None:
    pool = QuickPool()
    rounds = [await measurement.measure(cast(ArmPool, pool), number, settings) for number in range(2)]
    assert all(isinstance(one, measurement.kind) for one in rounds)
    figures = measurement.figures(rounds, settings)
    assert all(figure.command.endswith(measurement.name) for figure in figures)
    seeds = {name: {request.seed for request in arm.requests} for name, arm in pool.arms.items()}
    for engine in {name.partition(", ")[2] for name in seeds}:
        on_engine = [each for name, each in seeds.items() if name.partition(", ")[2] == engine]
        assert set.intersection(*on_engine), "arms are compared on the same requests"
    for arm in pool.arms.values():
        assert len({request.prompt for request in arm.requests}) == len({request.seed for request in arm.requests})
