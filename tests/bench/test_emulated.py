"""The emulated engine: its cost, its repository, and a picture's way over it."""

from pathlib import Path

import pytest

from bench.emulated import repository as emulated
from bench.emulated.arms import EmulatedBackdrop, EmulatedMonolith
from bench.emulated.costs import COSTS, Cost
from bench.load import closed_loop
from bench.requests import numbered
from bench.triton_statistics import TritonStatistics
from orchestrator import repository

QUICK = Cost(1.0, 0.5)


def test_both_costs_are_one_guided_step_and_differ_in_what_another_request_adds() -> None:
    near, sub = COSTS["near-linear"], COSTS["sub-linear"]
    assert near.seconds(2) == pytest.approx(sub.seconds(2)) == pytest.approx(0.0448)
    assert near.seconds(8) > 3.5 * near.seconds(2)
    assert sub.seconds(8) < 1.5 * sub.seconds(2)


def test_the_repository_is_one_that_the_orchestrator_accepts(triton_repository: Path, tmp_path: Path) -> None:
    served = repository.load(emulated.write(triton_repository, tmp_path / "emulated", QUICK))
    assert set(served.pipelines) == {"backdrop"}
    spec = served.pipelines["backdrop"]
    assert set(spec.models) == set(emulated.ROLES)
    # Caches tell models apart by their fingerprints.
    assert len(set(spec.fingerprints.values())) == len(emulated.ROLES)


async def test_rows_of_a_crowd_meet_in_the_engine_and_take_its_time() -> None:
    arm = EmulatedBackdrop(QUICK, replicas=2)
    try:
        requests = [numbered(index, steps=3) for index in range(6)]
        async with TritonStatistics(arm.cluster.endpoints.triton) as statistics:
            run = await closed_loop(arm.generate, requests, 6)
            work = await statistics.work("denoiser")
        assert run.throughput > 0
        assert work.rows == 6 * 3 * 2
        assert work.executions <= work.requests <= 6 * 3
        # Sleeping may take longer, never less.
        assert work.busy_s >= work.executions * QUICK.seconds(2) * 0.99
    finally:
        await arm.close()


async def test_the_emulated_monolith_answers_every_request() -> None:
    arm = EmulatedMonolith(QUICK)
    try:
        run = await closed_loop(arm.generate, [numbered(index, steps=1 + index) for index in range(4)], 4)
        assert len([latency for latency in run.latencies_s if latency < 60]) == 4
    finally:
        await arm.close()
