"""A full, drained or hopeless server answers from the message's fields alone (found while measuring this project)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest

import backdrop
from backdrop.contract.metadata import admission_metadata
from backdrop.contract.parts import Priority
from backdrop.errors import InvalidRequestError, OverloadedError, UnavailableError
from backdrop.v1 import generation_service_pb2 as pb
from bench.burst import METHOD, Connection, start
from orchestrator.api import service
from orchestrator.decoding import decoder
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
        decode = decoder.decode_photo

        def counted(*arguments: Any, **named: Any) -> Any:
            self.count += 1
            return decode(*arguments, **named)

        monkeypatch.setattr(decoder, "decode_photo", counted)


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
    async def slow(model: str) -> None:
        await asyncio.sleep(0.02)

    running.models.before = slow
    await generated(channel, request(steps=2))
    before = decoded.count
    code, info, _ = await failure(generation(channel).Generate(request(steps=100), timeout=1.0))
    assert (code, info.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_TOO_SHORT")
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
    announced = generation(channel).Generate(message, metadata=admission_metadata(message.priority, "k"))
    assert kinds([event async for event in announced]) == ["accepted", "picture", "summary"]
    running.store.here = False
    code, _, _ = await failure(generation(channel).Generate(message))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED, "a first try is refused before the shared cache is read"
    retried = [event async for event in generation(channel).Generate(message, metadata=(("backdrop-retry", "1"),))]
    assert retried[-1].summary.replayed
    gate.set()
    for call in calls:
        async for _ in call:
            pass


async def test_a_call_that_says_its_class_is_refused_before_its_message(
    running: Running, channel: grpc.aio.Channel
) -> None:
    gate, calls = await occupied(running, channel)
    message = request()
    late = await failure(generation(channel).Generate(message))
    # This caller sends no message at all.
    silent: Any = channel.stream_stream(METHOD, None, None)
    early = await failure(silent(metadata=admission_metadata(message.priority, ""), timeout=20))
    for _, info, _ in (late, early):
        assert len(info.metadata.pop("request_id")) == 32
    assert early == late
    gate.set()
    for call in calls:
        assert [event async for event in call][-1].HasField("summary")


async def test_the_pictures_of_a_refused_call_are_not_sent(running: Running, channel: grpc.aio.Channel) -> None:
    gate, calls = await occupied(running, channel)
    message = request(product=png(noisy_photo(300, 300)))
    data = message.SerializeToString()
    assert len(data) > 100_000

    def send(metadata: Sequence[tuple[str, str]]) -> tuple[list[str], int]:
        connection = Connection(f"127.0.0.1:{running.server.port}", data, 3, "9900m", metadata)
        return start([connection], settle_s=0.0), connection.body_bytes

    resource_exhausted = str(grpc.StatusCode.RESOURCE_EXHAUSTED.value[0])
    statuses, sent = await asyncio.to_thread(send, admission_metadata(message.priority, ""))
    assert statuses == [resource_exhausted] * 3
    assert sent <= 3 * 4096
    statuses, sent = await asyncio.to_thread(send, ())
    assert statuses == [resource_exhausted] * 3
    assert sent > 3 * len(data), "a call that does not say its class is read first"
    gate.set()
    for call in calls:
        async for _ in call:
            pass


async def test_the_sdk_is_refused_before_its_message_is_read(
    running: Running, channel: grpc.aio.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, calls = await occupied(running, channel)
    parsed, parse = [], service._parse

    def noted(*arguments: Any) -> Any:
        parsed.append(arguments)
        return parse(*arguments)

    monkeypatch.setattr(service, "_parse", noted)
    async with backdrop.AsyncClient(f"127.0.0.1:{running.server.port}", retries=0) as client:
        task = backdrop.Background(LARGE)
        with pytest.raises(OverloadedError) as caught:
            await client.generate(task, prompt="a beach")
        assert caught.value.retry_after_s
        assert not parsed
        with pytest.raises(InvalidRequestError, match="idempotency_key"):
            await client.generate(task, prompt="a beach", idempotency_key="é")
        with pytest.raises(InvalidRequestError, match="idempotency_key"):
            await client.generate(task, prompt="a beach", idempotency_key="k" * 100_000)
    gate.set()
    for call in calls:
        async for _ in call:
            pass


async def test_a_free_place_of_the_class_is_given(running: Running, channel: grpc.aio.Channel) -> None:
    running.admission._limits = Limits(2, 0)
    gate = asyncio.Event()

    async def wait(model: str) -> None:
        await gate.wait()

    running.models.before = wait
    # Of two places, standard and bulk may hold two and one: an interactive request finds one where bulk finds none.
    bulk, interactive = request(priority=pb.PRIORITY_BULK), request(priority=pb.PRIORITY_INTERACTIVE)
    first = generation(channel).Generate(bulk, metadata=admission_metadata(bulk.priority, ""))
    await anext(aiter(first))
    code, _, _ = await failure(generation(channel).Generate(bulk, metadata=admission_metadata(bulk.priority, "")))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    second = generation(channel).Generate(interactive, metadata=admission_metadata(interactive.priority, ""))
    await anext(aiter(second))
    gate.set()
    for call in (first, second):
        assert [event async for event in call][-1].HasField("summary")


async def test_a_call_without_a_message_is_told_so(running: Running, channel: grpc.aio.Channel) -> None:
    silent: Any = channel.stream_stream(METHOD, None, None)
    call = silent(timeout=20)
    await call.done_writing()
    code, info, _ = await failure(call)
    assert (code, info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_MESSAGE")


async def test_a_message_over_the_limit_is_refused(running: Running, channel: grpc.aio.Channel) -> None:
    raw: Any = channel.unary_stream(METHOD, None, None)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in raw(bytes(running.settings.max_request_bytes + 1)):
            pass
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert running.admission.running == 0


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
            admission.check(Priority.BULK, "a")
        with pytest.raises(OverloadedError) as joined:
            admission.join(scheduled(1, Priority.BULK), lambda place: None)
        assert checked.value.message == joined.value.message
        admission.check(Priority.INTERACTIVE, "a")
        with admission.join(scheduled(1), lambda place: None):
            admission.drain()
            with pytest.raises(UnavailableError):
                admission.check(Priority.INTERACTIVE, "a")
