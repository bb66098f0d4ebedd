"""How requests end before they are finished: cancellation, deadlines, failures, slow readers."""

import asyncio
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backdrop.contract.geometry import Fit, Size
from backdrop.errors import BackdropError, DeadlineExceededError, InvalidRequestError, OverloadedError, Reason, error
from orchestrator.events import (
    StepDone,
)
from orchestrator.request import Request
from orchestrator.scheduling import Priority
from tests.orchestrator.pipeline.bench import Bench
from tests.orchestrator.small import (
    request,
)


async def test_closing_the_stream_stops_before_the_next_step(bench: Bench) -> None:
    run = bench.pipeline.run(request(steps=50, variants=1, top_k=1))
    async for event in run:
        if isinstance(event, StepDone) and event.step == 3:
            break
    sent = bench.models.rows("denoiser")  # steps may run ahead of their reader
    await run.aclose()
    done = bench.models.rows("denoiser")
    assert done <= sent + 2  # the step in flight, at most
    await asyncio.sleep(0.01)
    assert bench.models.rows("denoiser") == done
    assert bench.admission.running == 0


async def test_a_deadline_that_passes_stops_the_work(bench: Bench) -> None:
    async def hang(model: str) -> None:
        await asyncio.sleep(60 if model == "denoiser" else 0)

    bench.models.before = hang
    with pytest.raises(DeadlineExceededError, match="passed before the pictures were ready") as caught:
        await bench.run(request(steps=50), deadline=time.monotonic() + 0.2)
    assert caught.value.reason is Reason.DEADLINE_EXCEEDED
    assert bench.models.rows("denoiser") < 50
    assert bench.admission.running == 0


async def test_a_deadline_that_cannot_be_met_stops_the_work(bench: Bench) -> None:
    async def slow(model: str) -> None:
        await asyncio.sleep(0.05 if model == "denoiser" else 0)

    bench.models.before = slow
    request_ = request(steps=50)
    with pytest.raises(DeadlineExceededError, match="can no longer be met") as caught:
        await bench.run(request_, deadline=time.monotonic() + 1.0)
    assert caught.value.reason is Reason.DEADLINE_EXCEEDED
    rows_a_step = request_.usage.row_steps // request_.parts.sampling.steps
    assert bench.models.rows("denoiser") <= 2 * rows_a_step, "the pace of the first step says that 50 are hopeless"
    assert bench.admission.running == 0
    # Once the pace is known, a hopeless deadline costs nothing.
    await bench.run(request(steps=1))
    bench.models.calls.clear()
    with pytest.raises(DeadlineExceededError) as caught:
        await bench.run(request(steps=50), deadline=time.monotonic() + 0.5)
    assert caught.value.reason is Reason.DEADLINE_TOO_SHORT
    assert bench.models.calls == []


async def test_a_failing_model_fails_the_job_as_itself_and_stops_the_others(bench: Bench) -> None:
    async def fail(model: str) -> None:
        if model == "denoiser" and bench.models.rows("denoiser") > 6:
            raise error(Reason.MODEL_FAILED, "the denoiser returned numbers that are not finite.")

    bench.models.before = fail
    with pytest.raises(BackdropError) as caught:
        await bench.run(request(variants=4, top_k=4, steps=20))
    assert caught.value.reason is Reason.MODEL_FAILED
    assert bench.admission.running == 0


@pytest.mark.promise("slow-reader")
async def test_a_slow_reader_is_cut_off(tmp_path: Path) -> None:
    bench = Bench(tmp_path, max_buffered_events=5)
    run = bench.pipeline.run(request(steps=50))
    await anext(run)
    while bench.admission.running:  # noqa: ASYNC110 (there is no event to wait for: nobody reads the stream)
        await asyncio.sleep(0.01)
    with pytest.raises(OverloadedError) as caught:
        async for _ in run:
            pass
    assert caught.value.reason is Reason.SLOW_READER


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"mask": np.full((64, 64), 255, np.uint8)}, "background.mask"),
        (
            {"mask": np.full((64, 64), 255, np.uint8), "size": Size(64, 64), "placement": Fit(0.0)},
            "background.placement",
        ),
    ],
)
async def test_a_picture_without_room_for_a_scene_is_refused(bench: Bench, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await bench.run(request(**changes))
    assert (caught.value.reason, caught.value.field) == (Reason.INVALID_MASK, field)


async def test_urgent_steps_go_first_and_nothing_is_lost(bench: Bench) -> None:
    """While an interactive job takes its steps, a bulk one of the same size hardly gets any."""
    steps = dict.fromkeys(Priority, 0)
    bulk_at: list[int] = []  # at every step of the interactive job

    async def follow(request_: Request) -> None:
        async for event in bench.pipeline.run(request_):
            steps[request_.parts.priority] += isinstance(event, StepDone)
            if isinstance(event, StepDone) and request_.parts.priority is Priority.INTERACTIVE:
                bulk_at.append(steps[Priority.BULK])

    await asyncio.gather(
        follow(request(steps=200, variants=4, top_k=1, priority=Priority.BULK)),
        follow(request(steps=40, variants=4, top_k=1, priority=Priority.INTERACTIVE)),
    )
    assert bulk_at[-1] - bulk_at[0] < 0.2 * 160, "16 of 17 turns were the other's, once both had begun"
    assert (steps[Priority.INTERACTIVE], steps[Priority.BULK]) == (160, 800)
    assert (bench.batcher.running_rows.total(), bench.batcher.waiting_rows.total()) == (0, 0)


async def test_no_step_starts_after_the_caller_has_left(bench: Bench) -> None:
    """Cancelled at every await in turn: what runs then is finished, and nothing follows it."""
    for moment in range(1, 60, 3):
        bench.models.calls.clear()
        run = asyncio.create_task(bench.run(request(steps=20, variants=2, top_k=1)))
        for _ in range(moment):
            await asyncio.sleep(0)
        run.cancel()
        await asyncio.wait([run])
        calls = len(bench.models.calls)
        await asyncio.sleep(0.002)
        assert len(bench.models.calls) == calls
        assert (bench.batcher.running_rows.total(), bench.batcher.waiting_rows.total(), bench.admission.running) == (
            0,
            0,
            0,
        )


async def test_a_waiting_request_of_the_loudest_tenant_makes_room_for_another_tenants(bench: Bench) -> None:
    gate = asyncio.Event()

    async def wait(model: str) -> None:
        await gate.wait()

    async def run(tenant: str) -> str:
        try:
            async for _ in bench.pipeline.run(request(), tenant):
                pass
        except OverloadedError as refusal:
            return refusal.reason
        return "made"

    bench.models.before = wait
    loud = [asyncio.create_task(run("loud")) for _ in range(4)]  # two run and two wait, as many as may
    await asyncio.sleep(0.01)
    quiet = asyncio.create_task(run("quiet"))
    assert await loud[3] == Reason.QUEUE_FULL
    gate.set()
    assert await asyncio.gather(*loud[:3], quiet) == ["made"] * 4
    assert (bench.admission.running, bench.admission.waiting, bench.admission.held_bytes) == (0, 0, 0)
