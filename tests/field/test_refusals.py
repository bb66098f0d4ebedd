"""A full, drained or hopeless server answers from the message's fields alone (found while measuring this project)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from backdrop.contract.parts import Priority
from backdrop.errors import OverloadedError, UnavailableError
from orchestrator.api import encoded
from orchestrator.scheduling import ScheduledRequest
from orchestrator.scheduling.admission import Admission, Limits
from tests.orchestrator.api.test_service import Running, failure, generated, generation, kinds, request
from tests.pictures import encoded as png
from tests.pictures import noisy_photo

pytestmark = pytest.mark.row("refusals-first")
LARGE = png(noisy_photo(4097, 4000)[:, :, 0])


class Counting:
    """Counts the pictures that are decoded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        decode = encoded.decode_photo

        def counted(*arguments: Any, **named: Any) -> Any:
            self.count += 1
            return decode(*arguments, **named)

        monkeypatch.setattr(encoded, "decode_photo", counted)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counting:
    return Counting(monkeypatch)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    """A server with two places and no queue, whose models wait for `gate`."""
    running = Running(tmp_path)
    await running.server.start()
    await running.open()
    yield running
    await running.server.stop(running.admission, 1.0)


@pytest.fixture
async def channel(running: Running) -> AsyncIterator[grpc.aio.Channel]:
    options = [("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{running.server.port}", options) as channel:
        yield channel


async def occupied(running: Running, channel: grpc.aio.Channel) -> tuple[asyncio.Event, list[Any]]:
    """Both places taken, by calls that go on when the event is set."""
    gate = asyncio.Event()

    async def wait(model: str) -> None:
        await gate.wait()

    running.models.before = wait
    calls = [generation(channel).Generate(request(seed=seed, idempotency_key=f"busy {seed}")) for seed in range(2)]
    for call in calls:
        await anext(aiter(call))
    return gate, calls


async def test_a_full_server_decodes_nothing(running: Running, channel: grpc.aio.Channel, decoded: Counting) -> None:
    gate, calls = await occupied(running, channel)
    await asyncio.sleep(0.05)
    before = decoded.count
    results = await asyncio.gather(*(failure(generation(channel).Generate(request())) for _ in range(20)))
    assert {code for code, _, _ in results} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert {info.reason for _, info, _ in results} == {"QUEUE_FULL"}
    assert decoded.count == before
    gate.set()
    for call in calls:
        assert [event async for event in call][-1].HasField("summary")


async def test_waiting_requests_are_not_decoded_either(running: Running, decoded: Counting) -> None:
    running.admission._limits = Limits(1, 4)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{running.server.port}") as channel:
        gate = asyncio.Event()

        async def wait(model: str) -> None:
            await gate.wait()

        running.models.before = wait
        calls = [generation(channel).Generate(request(seed=seed)) for seed in range(5)]
        firsts = await asyncio.gather(*(anext(aiter(call)) for call in calls))
        assert sorted(event.accepted.queue_position for event in firsts) == [0, 1, 2, 3, 4]
        await asyncio.sleep(0.1)
        assert decoded.count <= 1
        gate.set()
        for call in calls:
            assert [event async for event in call][-1].HasField("summary")
        assert decoded.count == 5


async def test_a_drained_server_decodes_nothing(running: Running, channel: grpc.aio.Channel, decoded: Counting) -> None:
    running.admission.drain()
    code, info, _ = await failure(generation(channel).Generate(request()))
    assert (code, info.reason, decoded.count) == (grpc.StatusCode.UNAVAILABLE, "DRAINING", 0)


async def test_a_hopeless_deadline_decodes_nothing(
    running: Running, channel: grpc.aio.Channel, decoded: Counting
) -> None:
    await generated(channel, request(steps=2))
    before = decoded.count

    async def slow(model: str) -> None:
        await asyncio.sleep(0.05)

    running.models.before = slow
    code, info, _ = await failure(generation(channel).Generate(request(steps=1000 // 10), timeout=0.05))
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    if info.reason == "DEADLINE_TOO_SHORT":
        assert decoded.count == before


async def test_sizes_are_refused_by_the_header(running: Running, channel: grpc.aio.Channel, decoded: Counting) -> None:
    code, info, _ = await failure(generation(channel).Generate(request(product=LARGE, mask=b"")))
    assert (code, info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PICTURE_TOO_LARGE")
    small = png(noisy_photo(20, 20)[:, :, 0])
    code, info, _ = await failure(generation(channel).Generate(request(mask=small)))
    assert (info.reason, info.metadata["field"]) == ("INVALID_MASK", "background.mask")
    assert decoded.count == 0


async def test_a_damaged_picture_is_refused_when_its_turn_comes(running: Running, channel: grpc.aio.Channel) -> None:
    product = png(noisy_photo(64, 64))[:-200]
    code, info, _ = await failure(generation(channel).Generate(request(product=product)))
    assert (code, info.metadata["field"]) == (grpc.StatusCode.INVALID_ARGUMENT, "background.product")
    assert running.admission.running == 0


async def test_a_result_that_is_here_is_given_by_a_full_server(running: Running, channel: grpc.aio.Channel) -> None:
    message = request(idempotency_key="k")
    first = await generated(channel, message)
    gate, calls = await occupied(running, channel)
    again = await generated(channel, message)
    assert kinds(again) == ["accepted", "picture", "summary"]
    assert again[1].picture == first[-2].picture
    running.store.here = False
    code, _, _ = await failure(generation(channel).Generate(message))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED, "a first try is refused before the shared cache is read"
    retried = [event async for event in generation(channel).Generate(message, metadata=(("backdrop-retry", "1"),))]
    assert retried[-1].summary.replayed
    gate.set()
    for call in calls:
        async for _ in call:
            pass


def scheduled(size: int, priority: Priority = Priority.INTERACTIVE) -> ScheduledRequest:
    return ScheduledRequest("a", priority, 1.0, size_bytes=size)


async def test_messages_are_held_up_to_a_bound_of_bytes() -> None:
    admission = Admission(Limits(4, 4, max_held_bytes=100))
    with admission.join(scheduled(500), lambda place: None):
        with pytest.raises(OverloadedError, match="are held") as caught:
            admission.join(scheduled(1), lambda place: None)
        assert caught.value.retry_after_s
    with admission.join(scheduled(60), lambda place: None), admission.join(scheduled(40), lambda place: None):
        assert admission.held_bytes == 100
        with pytest.raises(OverloadedError):
            admission.join(scheduled(1), lambda place: None)
    assert (admission.held_bytes, admission.running, admission.waiting) == (0, 0, 0)


async def test_the_quick_check_and_joining_refuse_the_same() -> None:
    admission = Admission(Limits(2, 1))
    with (
        admission.join(scheduled(1, Priority.BULK), lambda place: None),
        admission.join(scheduled(1, Priority.BULK), lambda place: None),
    ):
        with pytest.raises(OverloadedError) as checked:
            admission.check(Priority.BULK)
        with pytest.raises(OverloadedError) as joined:
            admission.join(scheduled(1, Priority.BULK), lambda place: None)
        assert checked.value.message == joined.value.message
        admission.check(Priority.INTERACTIVE)
        with admission.join(scheduled(1), lambda place: None):
            admission.drain()
            with pytest.raises(UnavailableError):
                admission.check(Priority.INTERACTIVE)
