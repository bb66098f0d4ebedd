"""Idempotency: one call works, the others get its pictures; another body is refused; failures hand over."""

from __future__ import annotations

import asyncio

import pytest

from backdrop.errors import ConflictError
from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.api.idempotency import Claim, Idempotency, request_digest
from orchestrator.cache.leases import Leases
from tests.messages import generate_request

TENANT = "acme"


class Store:
    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}
        self.here = True
        """Whether the data is in this process too."""

    async def get(self, key: str) -> bytes | None:
        await asyncio.sleep(0)
        return self.data.get(key)

    def has(self, key: str) -> bool:
        return self.here and key in self.data

    def put(self, key: str, data: bytes, ttl_s: int, owner: str = "") -> None:
        assert ttl_s == 60
        assert owner
        self.data[key] = data


def over(store: Store) -> Idempotency:
    """One orchestrator's, with no other one."""
    return Idempotency(store, Leases(None), 60)


def request(prompt: str = "a beach", key: str = "k") -> pb.GenerateRequest:
    return generate_request("text_to_image", prompt=prompt, idempotency_key=key)


def picture(rank: int, name: str) -> pb.GenerateResponse:
    return pb.GenerateResponse(picture=pb.Picture(rank=rank, data=f"{name} {rank}".encode()))


def keep(claim: Claim, name: str, pictures: int = 2) -> list[pb.GenerateResponse]:
    """What a call does with its claim: every message goes through it."""
    messages = [
        pb.GenerateResponse(accepted=pb.Accepted(request_id=name)),
        *(picture(rank, name) for rank in range(pictures)),
        pb.GenerateResponse(summary=pb.Summary(request_id=name, pictures=pictures)),
    ]
    for message in messages:
        claim.keep(message)
    return messages


async def call(
    idempotency: Idempotency, message: pb.GenerateRequest, name: str, fail: bool = False, tenant: str = TENANT
) -> tuple[str, bool]:
    async with idempotency.claim(message, tenant) as claim:
        if claim.replay is not None:
            summary = claim.replay[-1].summary
            return summary.request_id, summary.replayed
        await asyncio.sleep(0.01)
        if fail:
            claim.keep(picture(0, name))
            raise RuntimeError(name)
        keep(claim, name)
        return name, False


async def replay(
    idempotency: Idempotency, message: pb.GenerateRequest, tenant: str = TENANT
) -> list[pb.GenerateResponse] | None:
    async with idempotency.claim(message, tenant) as claim:
        return claim.replay


async def test_the_second_call_replays_the_first() -> None:
    idempotency = over(Store())
    assert await call(idempotency, request(), "one") == ("one", False)
    assert await call(idempotency, request(), "two") == ("one", True)


async def test_a_replay_is_the_pictures_and_the_summary() -> None:
    idempotency = over(Store())
    await call(idempotency, request(), "one")
    messages = await replay(idempotency, request())
    assert messages is not None
    assert messages[:-1] == [picture(0, "one"), picture(1, "one")]
    assert messages[-1].summary == pb.Summary(request_id="one", pictures=2, replayed=True)


async def test_each_picture_is_an_entry_of_its_own_and_events_are_not_kept() -> None:
    store = Store()
    idempotency = over(store)
    async with idempotency.claim(request(), TENANT) as claim:
        keep(claim, "one", pictures=3)
    assert len(store.data) == 4, "three pictures and the summary"
    entries = [pb.GenerateResponse.FromString(data) for name, data in store.data.items() if name.count(":") == 4]
    assert sorted(entry.picture.rank for entry in entries) == [0, 1, 2]


async def test_a_result_that_lost_a_picture_is_not_replayed() -> None:
    for rank in (0, 1):
        store = Store()
        idempotency = over(store)
        await call(idempotency, request(), "one")
        del store.data[next(name for name in store.data if name.endswith(f":{rank}"))]
        assert await replay(idempotency, request()) is None
        assert await call(idempotency, request(), "two") == ("two", False)
        assert await call(idempotency, request(), "three") == ("two", True)


async def test_a_result_without_its_summary_is_not_replayed() -> None:
    store = Store()
    idempotency = over(store)
    async with idempotency.claim(request(), TENANT) as claim:
        claim.keep(picture(0, "one"))
    assert await replay(idempotency, request()) is None
    await call(idempotency, request(), "two")
    store.data[next(name for name in store.data if name.count(":") == 2)] = b"cut off"
    assert await replay(idempotency, request()) is None


async def test_pictures_of_a_failed_call_never_meet_another_requests_summary() -> None:
    store = Store()
    idempotency = over(store)
    async with idempotency.claim(request("a city"), TENANT) as claim:
        claim.keep(picture(0, "of the city"))
        claim.keep(picture(1, "of the city"))
    await call(idempotency, request(), "one")
    messages = await replay(idempotency, request())
    assert messages is not None
    assert messages[:-1] == [picture(0, "one"), picture(1, "one")]


async def test_concurrent_calls_share_one_run() -> None:
    idempotency = over(Store())
    answers = await asyncio.gather(*(call(idempotency, request(), f"{i}") for i in range(20)))
    assert answers == [("0", False)] + [("0", True)] * 19


async def test_another_body_is_refused_stored_or_running() -> None:
    idempotency = over(Store())
    running = asyncio.create_task(call(idempotency, request(), "one"))
    await asyncio.sleep(0)
    with pytest.raises(ConflictError):
        await call(idempotency, request("a city"), "two")
    await running
    with pytest.raises(ConflictError):
        await call(idempotency, request("a city"), "two")


async def test_a_waiter_takes_over_when_the_first_fails() -> None:
    idempotency = over(Store())
    first = asyncio.create_task(call(idempotency, request(), "one", fail=True))
    await asyncio.sleep(0)
    assert await call(idempotency, request(), "two") == ("two", False)
    with pytest.raises(RuntimeError):
        await first


async def test_without_a_key_nothing_is_kept() -> None:
    store = Store()
    idempotency = over(store)
    assert await call(idempotency, request(key=""), "one") == ("one", False)
    assert await call(idempotency, request(key=""), "two") == ("two", False)
    assert store.data == {}


def test_style_and_adapters_belong_to_the_digest() -> None:
    warm, cold = pb.StyleImage(image=b"warm"), pb.StyleImage(image=b"cold")
    requests = [
        generate_request(),
        generate_request("text_to_image"),
        generate_request(style_images=[warm]),
        generate_request(style_images=[warm, cold]),
        generate_request(style_images=[cold, warm]),
        generate_request(style_images=[pb.StyleImage(image=b"warm", weight=2.0)]),
        generate_request(style_images=[warm], image_scale=0.5),
        generate_request(adapters=[pb.Adapter(name="a")]),
        generate_request(adapters=[pb.Adapter(name="a", weight=0.5)]),
        generate_request(adapters=[pb.Adapter(name="a"), pb.Adapter(name="b")]),
    ]
    assert len({request_digest(request) for request in requests}) == len(requests)


def test_the_key_does_not_belong_to_the_digest() -> None:
    assert request_digest(request(key="a")) == request_digest(request(key="b"))


async def test_a_key_belongs_to_its_tenant() -> None:
    idempotency = over(Store())
    assert await call(idempotency, request(), "one") == ("one", False)
    assert await call(idempotency, request(), "two", tenant="other") == ("two", False)
    assert await replay(idempotency, request("a city"), "third") is None, "another body is no conflict there"
    assert await call(idempotency, request(), "three") == ("one", True)
    assert (idempotency.has(TENANT, "k"), idempotency.has("nobody", "k")) == (True, False)


async def test_a_call_says_that_it_waits() -> None:
    idempotency, waits = over(Store()), list[str]()
    running = asyncio.create_task(call(idempotency, request(), "one"))
    await asyncio.sleep(0)
    async with idempotency.claim(request(), TENANT, lambda: waits.append("waits")) as claim:
        assert claim.replay is not None
    assert waits == ["waits"]
    await running
