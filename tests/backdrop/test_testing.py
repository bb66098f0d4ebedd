"""The fake as a tool for callers: what it records, and the failures it plays."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from backdrop import (
    Accepted,
    AsyncClient,
    Client,
    Event,
    InvalidRequestError,
    OverloadedError,
    Reason,
    UnavailableError,
)
from backdrop.testing import FakeBackdrop
from tests.backdrop.test_client import OPTIONS, TASK
from tests.patience import PATIENCE_S


async def test_it_is_an_asynchronous_context_manager_too() -> None:
    async with FakeBackdrop() as fake, AsyncClient(fake.endpoint) as client:
        assert (await client.generate(TASK, **OPTIONS)).pictures


def test_outside_a_with_statement_it_has_no_endpoint() -> None:
    fake = FakeBackdrop()
    with pytest.raises(RuntimeError, match="with"):
        _ = fake.endpoint
    with fake:
        assert fake.endpoint
    with pytest.raises(RuntimeError, match="with"):
        _ = fake.endpoint


def test_it_can_do_without_optional_roles_only() -> None:
    assert not any(pipeline.reward_heads for pipeline in FakeBackdrop(without=["reward"]).info.pipelines)
    with pytest.raises(ValueError, match="denoiser is not an optional role; there are reward, segmenter"):
        FakeBackdrop(without=["denoiser"])


def test_it_remembers_requests_and_steps(fake: FakeBackdrop) -> None:
    with Client(fake.endpoint) as client:
        client.generate(TASK, **OPTIONS, variants=2).result()
    assert [request.conditioning.prompt for request in fake.requests] == ["on a table"]
    assert fake.steps_run == 2 * 3


def test_failures_are_played_in_order(fake: FakeBackdrop) -> None:
    fake.fail_next(Reason.INVALID_MASK, message="That is no mug.", field="background.mask")
    fake.fail_next(Reason.NO_REPLICA, times=2)
    with Client(fake.endpoint, retries=0) as client:
        with pytest.raises(InvalidRequestError) as caught:
            client.generate(TASK, **OPTIONS).result()
        assert (caught.value.message, caught.value.field) == ("That is no mug.", "background.mask")
        for _ in range(2):
            with pytest.raises(UnavailableError):
                client.generate(TASK, **OPTIONS).result()
        assert client.generate(TASK, **OPTIONS).result()


def test_a_failure_after_some_steps(fake: FakeBackdrop) -> None:
    fake.fail_next(Reason.NO_REPLICA, after_steps=2)
    with Client(fake.endpoint, retries=0) as client:
        events: list[Event] = []
        with pytest.raises(UnavailableError):
            events.extend(client.generate(TASK, **OPTIONS))
    assert fake.steps_run == 2


async def test_the_queue_is_told_and_bounded() -> None:
    with FakeBackdrop(step_delay_s=0.02, max_running=1, max_queued=1) as fake:
        async with AsyncClient(fake.endpoint, retries=0) as client:
            running = client.generate(TASK, **{**OPTIONS, "steps": 20})
            assert (await anext(running)) == Accepted(running.request_id, 0, 40)
            waiting = client.generate(TASK, **OPTIONS)
            first = await anext(waiting)
            assert isinstance(first, Accepted)
            assert first.queue_position == 1
            with pytest.raises(OverloadedError) as caught:
                await client.generate(TASK, **OPTIONS)
            assert caught.value.retry_after_s
            await running.aclose()  # a caller who leaves frees a place
            second = await asyncio.wait_for(anext(waiting), PATIENCE_S)
            assert isinstance(second, Accepted)
            assert second.queue_position == 0
            assert (await waiting).pictures


@pytest.mark.parametrize("wrong", [{"times": 0}, {"after_steps": -1}])
def test_impossible_scripts_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        FakeBackdrop().fail_next(Reason.INTERNAL, **wrong)


async def test_a_quota_that_is_spent_is_named_and_says_when_to_come_back() -> None:
    async with (
        FakeBackdrop(step_delay_s=0.01, quotas={"concurrent_requests": 1}) as fake,
        AsyncClient(fake.endpoint, retries=0) as impatient,
        AsyncClient(fake.endpoint, retries=9) as patient,
    ):
        async with impatient.generate(TASK, **OPTIONS) as first:
            await anext(first)
            with pytest.raises(OverloadedError) as caught:
                await impatient.generate(TASK, **OPTIONS)
            assert (caught.value.reason, caught.value.quota) == (Reason.QUOTA_SPENT, "concurrent_requests")
            assert caught.value.retry_after_s
            retried = asyncio.ensure_future(patient.generate(TASK, **OPTIONS))
            async for _ in first:
                pass
        assert (await retried).pictures
    with pytest.raises(ValueError, match="requests is no quota"):
        FakeBackdrop(quotas={"requests": 1})


async def test_work_and_stored_bytes_have_quotas_too() -> None:
    quotas = {"row_step_megapixels_per_minute": 0.5, "stored_bytes": 1000.0}
    async with FakeBackdrop(quotas=quotas) as fake, AsyncClient(fake.endpoint, retries=0) as client:
        await client.generate(TASK, **OPTIONS, idempotency_key="k")
        with pytest.raises(OverloadedError) as caught:
            await client.generate(TASK, **OPTIONS, idempotency_key="other")
        assert caught.value.quota == "row_step_megapixels_per_minute"
        fake.info.quotas[0].limit = 1e9
        with pytest.raises(OverloadedError) as caught:
            await client.generate(TASK, **OPTIONS, idempotency_key="other")
        assert caught.value.quota == "stored_bytes"
        assert (await client.generate(TASK, **OPTIONS, idempotency_key="k")).replayed
        assert (await client.generate(TASK, **OPTIONS)).pictures
        assert next(quota.used for quota in (await client.info()).quotas if quota.name == "stored_bytes") > 1000
