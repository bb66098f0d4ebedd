"""The asynchronous client: waiting, iterating, leaving, and trying again."""

from __future__ import annotations

import asyncio
import gc
import socket
import time
from typing import Any

import grpc
import pytest

import backdrop
from backdrop import (
    Accepted,
    AsyncClient,
    BackdropError,
    Background,
    CancelledError,
    DeadlineExceededError,
    InternalError,
    InvalidRequestError,
    OverloadedError,
    Reason,
    Result,
    StepProgress,
    Summary,
    UnavailableError,
)
from backdrop._retry import RetryPolicy
from backdrop.errors import error
from backdrop.testing import FakeBackdrop
from tests.patience import PATIENCE_S
from tests.pictures import ellipse_mask, encoded, noisy_photo

TASK = Background(encoded(noisy_photo(64, 64)), encoded(ellipse_mask(64, 64)))
OPTIONS: dict[str, Any] = {"prompt": "on a table", "steps": 3}


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def settled_steps(fake: FakeBackdrop) -> int:
    """Steps begun, once a cancel has had time to arrive."""
    await asyncio.sleep(0.3)
    return fake.steps_run


async def test_awaiting_gives_the_result(fake: FakeBackdrop) -> None:
    async with AsyncClient(fake.endpoint) as client:
        generation = client.generate(TASK, **OPTIONS)
        assert generation.request_id == ""
        result = await generation
        assert isinstance(result, Result)
        assert generation.request_id == result.request_id
        assert await generation is result  # a second time


async def test_iterating_gives_events_and_awaiting_the_rest(fake: FakeBackdrop) -> None:
    async with AsyncClient(fake.endpoint) as client:
        generation = client.generate(TASK, **OPTIONS)
        assert isinstance(await anext(generation), Accepted)
        result = await generation
        assert [event async for event in generation] == []
        assert result.pictures


async def test_nothing_is_sent_before_the_first_await(fake: FakeBackdrop) -> None:
    async with AsyncClient(fake.endpoint) as client:
        client.generate(TASK, **OPTIONS)
        await asyncio.sleep(0.05)
        assert not fake.requests


async def test_unsendable_values_raise_at_once(fake: FakeBackdrop) -> None:
    async with AsyncClient(fake.endpoint) as client:
        with pytest.raises(InvalidRequestError):
            client.generate(TASK, **{**OPTIONS, "seed": -1})


async def test_a_refusal_is_raised_again_when_awaited_again(fake: FakeBackdrop) -> None:
    async with AsyncClient(fake.endpoint) as client:
        generation = client.generate(TASK, **{**OPTIONS, "steps": 0})
        for _ in range(2):
            with pytest.raises(InvalidRequestError) as caught:
                await generation
        assert caught.value.field == "sampling.steps"
        assert caught.value.request_id


async def test_cancel_stops_the_server_and_raises_for_the_waiter(slow_fake: FakeBackdrop) -> None:
    async with AsyncClient(slow_fake.endpoint) as client:
        generation = client.generate(TASK, **{**OPTIONS, "steps": 100})
        waiter = asyncio.ensure_future(generation)
        await asyncio.sleep(0.15)
        generation.cancel()
        with pytest.raises(CancelledError) as caught:
            await waiter
        assert caught.value.request_id == generation.request_id != ""
        steps = await settled_steps(slow_fake)
        assert await settled_steps(slow_fake) == steps < 90


async def test_cancel_before_the_start_sends_nothing(fake: FakeBackdrop) -> None:
    async with AsyncClient(fake.endpoint) as client:
        generation = client.generate(TASK, **OPTIONS)
        generation.cancel()
        with pytest.raises(CancelledError):
            await generation
        assert not fake.requests


async def test_cancel_between_two_attempts_ends_the_waiting(fake: FakeBackdrop) -> None:
    fake.fail_next(Reason.QUEUE_FULL, retry_after_s=30)
    async with AsyncClient(fake.endpoint) as client:
        generation = client.generate(TASK, **OPTIONS)
        waiter = asyncio.ensure_future(generation)
        await asyncio.sleep(0.1)
        generation.cancel()
        with pytest.raises(CancelledError):
            await asyncio.wait_for(waiter, PATIENCE_S / 2)


@pytest.mark.parametrize("way", ["context manager", "aclose", "task", "garbage"])
async def test_leaving_stops_the_server(slow_fake: FakeBackdrop, way: str) -> None:
    async with AsyncClient(slow_fake.endpoint) as client:
        generation = client.generate(TASK, **{**OPTIONS, "steps": 100})
        if way == "context manager":
            async with generation:
                await _until_first_step(generation)
        elif way == "aclose":
            await _until_first_step(generation)
            await generation.aclose()
            with pytest.raises(CancelledError):
                await generation
        elif way == "task":
            task = asyncio.ensure_future(generation)
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            await _until_first_step(generation)
            del generation
            gc.collect()
        steps = await settled_steps(slow_fake)
        assert await settled_steps(slow_fake) == steps < 90


async def _until_first_step(generation: backdrop.Generation) -> None:
    async for event in generation:
        if isinstance(event, StepProgress):
            return


async def test_reading_to_the_summary_cancels_nothing(fake: FakeBackdrop) -> None:
    async with AsyncClient(fake.endpoint) as client, client.generate(TASK, **OPTIONS) as generation:
        async for event in generation:
            if isinstance(event, Summary):
                break
        assert (await generation).pictures


@pytest.mark.parametrize("reason", [Reason.NO_REPLICA, Reason.DRAINING, Reason.QUEUE_FULL])
async def test_what_may_pass_is_tried_again(fake: FakeBackdrop, reason: Reason) -> None:
    fake.fail_next(reason, times=2)
    async with AsyncClient(fake.endpoint) as client:
        assert (await client.generate(TASK, **OPTIONS)).pictures
    assert len(fake.requests) == 3


async def test_a_failure_in_the_middle_starts_the_events_again(fake: FakeBackdrop) -> None:
    fake.fail_next(Reason.DRAINING, after_steps=2)
    async with AsyncClient(fake.endpoint) as client:
        events = [event async for event in client.generate(TASK, **OPTIONS)]
    assert sum(isinstance(event, Accepted) for event in events) == 2
    assert sum(isinstance(event, Summary) for event in events) == 1
    assert isinstance(events[-1], Summary)


@pytest.mark.parametrize(
    "reason",
    [Reason.INTERNAL, Reason.MODEL_FAILED, Reason.MESSAGE_TOO_LARGE, Reason.UNKNOWN_PIPELINE, Reason.DEADLINE_EXCEEDED],
)
async def test_what_would_fail_again_is_not_tried_again(fake: FakeBackdrop, reason: Reason) -> None:
    fake.fail_next(reason)
    async with AsyncClient(fake.endpoint) as client:
        with pytest.raises(BackdropError) as caught:
            await client.generate(TASK, **OPTIONS)
    assert caught.value.reason is reason
    assert len(fake.requests) == 1


async def test_retries_end(fake: FakeBackdrop) -> None:
    fake.fail_next(Reason.QUEUE_FULL, times=9)
    async with AsyncClient(fake.endpoint, retries=3) as client:
        with pytest.raises(OverloadedError):
            await client.generate(TASK, **OPTIONS)
    assert len(fake.requests) == 4


async def test_no_retry_starts_that_the_deadline_would_end(fake: FakeBackdrop) -> None:
    fake.fail_next(Reason.QUEUE_FULL, retry_after_s=100.0)
    begin = time.monotonic()
    async with AsyncClient(fake.endpoint, timeout_s=90.0) as client:
        with pytest.raises(OverloadedError) as caught:  # not DeadlineExceededError: this one says why
            await client.generate(TASK, **OPTIONS)
    assert caught.value.retry_after_s == 100.0
    assert time.monotonic() - begin < PATIENCE_S


async def test_the_timeout_is_one_for_all_attempts(slow_fake: FakeBackdrop) -> None:
    slow_fake.fail_next(Reason.DRAINING, times=5, after_steps=10)
    begin = time.monotonic()
    async with AsyncClient(slow_fake.endpoint, retries=9, timeout_s=0.7) as client:
        with pytest.raises((DeadlineExceededError, UnavailableError)):
            await client.generate(TASK, **{**OPTIONS, "steps": 20})
    assert time.monotonic() - begin < 6.0, "ten attempts of 0.7 s each"


async def test_a_call_may_have_a_timeout_of_its_own(slow_fake: FakeBackdrop) -> None:
    async with AsyncClient(slow_fake.endpoint) as client:
        with pytest.raises(DeadlineExceededError):
            await client.generate(TASK, **{**OPTIONS, "steps": 100}, timeout_s=0.2)


async def test_a_retry_has_the_key_of_its_first_attempt_and_every_call_its_own(fake: FakeBackdrop) -> None:
    fake.fail_next(Reason.QUEUE_FULL)
    async with AsyncClient(fake.endpoint) as client:
        first = await client.generate(TASK, **OPTIONS)
        second = await client.generate(TASK, **OPTIONS)
    keys = [request.idempotency_key for request in fake.requests]
    assert keys[0] == keys[1] != keys[2]
    assert len(keys[0]) == 32
    assert not second.replayed
    assert first.settings.seed != second.settings.seed  # no seed: two rolls of the dice


async def test_a_lost_answer_is_replayed(fake: FakeBackdrop) -> None:
    """The first attempt's result got lost on the way; with the same key the retry gets that very result."""
    async with AsyncClient(fake.endpoint) as client:
        generation = client.generate(TASK, **OPTIONS)
        first = await generation
        again = await client.generate(TASK, **OPTIONS, idempotency_key=generation.idempotency_key)
    assert again.replayed
    assert again.pictures == first.pictures


async def test_without_retries_there_is_no_key(fake: FakeBackdrop) -> None:
    async with AsyncClient(fake.endpoint, retries=0) as client:
        await client.generate(TASK, **OPTIONS)
        await client.generate(TASK, **OPTIONS, idempotency_key="mine")
    assert [request.idempotency_key for request in fake.requests] == ["", "mine"]


async def test_no_server_is_unavailable_and_named(free_port: int) -> None:
    async with AsyncClient(f"127.0.0.1:{free_port}") as client:
        for call in (client.generate(TASK, **OPTIONS), client.info()):
            with pytest.raises(UnavailableError) as caught:
                await call
            assert caught.value.reason is Reason.UNREACHABLE
            assert str(free_port) in caught.value.message
        assert not await client.ready(1.0)


async def test_a_server_that_is_no_grpc_is_an_error_of_ours() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server, AsyncClient(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", retries=0) as client:
        with pytest.raises(UnavailableError):
            await client.info()


async def test_wait_ready_waits(fake: FakeBackdrop) -> None:
    fake.set_ready(False)
    async with AsyncClient(fake.endpoint, retries=0) as client:
        assert not await client.ready()
        with pytest.raises(UnavailableError):
            await client.info()
        with pytest.raises(UnavailableError):
            await client.wait_ready(0.3)
        asyncio.get_running_loop().call_later(0.3, fake.set_ready, True)
        assert (await client.wait_ready(5.0)).default_pipeline == "backdrop"


async def test_wait_ready_waits_for_the_server_to_be_started(free_port: int) -> None:
    async with AsyncClient(f"127.0.0.1:{free_port}", retries=0) as client:
        with pytest.raises((UnavailableError, DeadlineExceededError)):
            await client.wait_ready(0.4)


async def test_large_messages_have_a_limit_that_can_be_set(fake: FakeBackdrop) -> None:
    async with AsyncClient(fake.endpoint, max_message_bytes=2000) as client:
        with pytest.raises(OverloadedError) as caught:
            await client.generate(TASK, **OPTIONS)
    assert caught.value.reason is Reason.MESSAGE_TOO_LARGE
    assert "max_message_bytes" in caught.value.message


async def test_the_endpoint_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert AsyncClient().endpoint == "127.0.0.1:50061"
    monkeypatch.setenv("BACKDROP_ENDPOINT", "example:1")
    assert AsyncClient().endpoint == "example:1"
    assert AsyncClient("other:2").endpoint == "other:2"


async def test_a_closed_client_says_so(fake: FakeBackdrop) -> None:
    client = AsyncClient(fake.endpoint)
    await client.close()
    await client.close()
    with pytest.raises(InvalidRequestError, match="closed"):
        await client.info()


@pytest.mark.parametrize(
    "wrong", [{"timeout_s": 0}, {"timeout_s": float("nan")}, {"retries": -1}, {"max_message_bytes": 0}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match="must be"):
        AsyncClient("host:1", **wrong)


def test_delays_grow_and_honour_the_server() -> None:
    policy = RetryPolicy(20)
    gone = error(Reason.NO_REPLICA, "gone")
    delays = [policy.delay_s(gone, attempt) for attempt in range(20)]
    assert all(delay is not None and 0.1 <= delay <= 5.0 for delay in delays)
    assert 0.1 <= (delays[0] or 0) <= 0.2
    full = error(Reason.QUEUE_FULL, "full", retry_after_s=3.0)
    assert (policy.delay_s(full, 0) or 0) >= 3.0
    assert policy.delay_s(gone, 20) is None
    assert policy.delay_s(error(Reason.SLOW_READER, "slow"), 0) is None


async def test_a_stream_without_a_summary_is_the_servers_fault() -> None:
    async def nothing(request: bytes, context: object) -> Any:
        events: tuple[bytes, ...] = ()
        for event in events:
            yield event

    server = grpc.aio.server()
    handler = grpc.unary_stream_rpc_method_handler(nothing)
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("backdrop.v1.GenerationService", {"Generate": handler})]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with AsyncClient(f"127.0.0.1:{port}") as client:
        with pytest.raises(InternalError, match="without a summary"):
            await client.generate(TASK, **OPTIONS)
    await server.stop(0.1)
