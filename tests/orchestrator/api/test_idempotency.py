"""Idempotency: one call works, the others get its result; another body is refused; failures hand over."""

import asyncio

import pytest

from backdrop.errors import ConflictError
from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.api.idempotency import Idempotency, request_digest


class Store:
    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}

    async def get_bytes(self, key: str) -> bytes | None:
        await asyncio.sleep(0)
        return self.data.get(key)

    async def set_bytes(self, key: str, data: bytes, ttl_s: int) -> None:
        assert ttl_s == 60
        self.data[key] = data


def request(prompt: str = "a beach", key: str = "k") -> pb.GenerateRequest:
    return pb.GenerateRequest(prompt=prompt, idempotency_key=key)


async def call(idempotency: Idempotency, asked: pb.GenerateRequest, name: str, fail: bool = False) -> tuple[str, bool]:
    async with idempotency.claim(asked) as claim:
        if claim.replay is not None:
            return claim.replay.request_id, claim.replay.replayed
        await asyncio.sleep(0.01)
        if fail:
            raise RuntimeError(name)
        claim.result = pb.GenerateResult(request_id=name)
        return name, False


async def test_the_second_call_replays_the_first() -> None:
    idempotency = Idempotency(Store(), 60)
    assert await call(idempotency, request(), "one") == ("one", False)
    assert await call(idempotency, request(), "two") == ("one", True)


async def test_concurrent_calls_share_one_run() -> None:
    idempotency = Idempotency(Store(), 60)
    answers = await asyncio.gather(*(call(idempotency, request(), f"{i}") for i in range(20)))
    assert answers == [("0", False)] + [("0", True)] * 19


async def test_another_body_is_refused_stored_or_running() -> None:
    idempotency = Idempotency(Store(), 60)
    running = asyncio.create_task(call(idempotency, request(), "one"))
    await asyncio.sleep(0)
    with pytest.raises(ConflictError):
        await call(idempotency, request("a city"), "two")
    await running
    with pytest.raises(ConflictError):
        await call(idempotency, request("a city"), "two")


async def test_a_waiter_takes_over_when_the_first_fails() -> None:
    idempotency = Idempotency(Store(), 60)
    first = asyncio.create_task(call(idempotency, request(), "one", fail=True))
    await asyncio.sleep(0)
    assert await call(idempotency, request(), "two") == ("two", False)
    with pytest.raises(RuntimeError):
        await first


async def test_without_a_key_nothing_is_kept() -> None:
    store = Store()
    idempotency = Idempotency(store, 60)
    assert await call(idempotency, request(key=""), "one") == ("one", False)
    assert await call(idempotency, request(key=""), "two") == ("two", False)
    assert store.data == {}


def test_pictures_weights_and_scale_of_the_style_belong_to_the_digest() -> None:
    warm, cold = pb.StyleImage(image=b"warm"), pb.StyleImage(image=b"cold")
    asked = [
        pb.GenerateRequest(),
        pb.GenerateRequest(style_images=[warm]),
        pb.GenerateRequest(style_images=[warm, cold]),
        pb.GenerateRequest(style_images=[cold, warm]),
        pb.GenerateRequest(style_images=[pb.StyleImage(image=b"warm", weight=2.0)]),
        pb.GenerateRequest(style_images=[warm], image_scale=0.5),
    ]
    assert len({request_digest(request) for request in asked}) == len(asked)
