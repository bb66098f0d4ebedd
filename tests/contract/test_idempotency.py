"""Idempotency keys: a retry gets the first result, another request is refused."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from backdrop import Accepted, AsyncClient, ConflictError, InvalidRequestError, Picture, Reason, Summary
from tests.contract.photos import QUICK, TASK


@pytest.fixture
def key() -> str:
    return f"contract {uuid.uuid4()} ~!"  # any printable ASCII


async def test_the_same_key_and_request_replay_the_first_result(client: AsyncClient, key: str) -> None:
    # Without a seed: made again, it would be another picture.
    first = await client.generate(TASK, **QUICK, variants=2, idempotency_key=key)
    generation = client.generate(TASK, **QUICK, variants=2, idempotency_key=key)
    events = [event async for event in generation]
    second = await generation
    assert isinstance(events[0], Accepted)
    assert [type(event) for event in events[-3:]] == [Picture, Picture, Summary]
    assert second.replayed
    assert not first.replayed
    assert second.pictures == first.pictures
    assert second.settings == first.settings
    assert second.usage == first.usage
    assert second.request_id == first.request_id  # of the request that made these pictures


async def test_the_same_key_with_another_request_conflicts(client: AsyncClient, key: str) -> None:
    await client.generate(TASK, **QUICK, idempotency_key=key)
    with pytest.raises(ConflictError) as caught:
        await client.generate(TASK, **{**QUICK, "prompt": "in the snow"}, idempotency_key=key)
    assert caught.value.reason is Reason.IDEMPOTENCY_KEY_REUSED
    assert caught.value.field == "idempotency_key"


async def test_two_at_once_make_one_result(client: AsyncClient, key: str) -> None:
    results = await asyncio.gather(*(client.generate(TASK, **QUICK, idempotency_key=key) for _ in range(2)))
    assert results[0].pictures == results[1].pictures
    assert sorted(result.replayed for result in results) == [False, True]


async def test_a_failure_does_not_use_the_key_up(client: AsyncClient, key: str) -> None:
    with pytest.raises(InvalidRequestError):
        await client.generate(TASK, **{**QUICK, "steps": 0}, idempotency_key=key)
    result = await client.generate(TASK, **QUICK, idempotency_key=key)
    assert not result.replayed


async def test_a_cancelled_call_does_not_use_the_key_up(client: AsyncClient, key: str) -> None:
    async with client.generate(TASK, **{**QUICK, "steps": 50}, idempotency_key=key) as generation:
        await anext(generation)
    result = await client.generate(TASK, **{**QUICK, "steps": 50}, idempotency_key=key)
    assert len(result.pictures) == 1


async def test_keys_of_128_characters_are_taken(client: AsyncClient) -> None:
    key = (uuid.uuid4().hex * 4)[:128]
    assert len(key) == 128
    assert (await client.generate(TASK, **QUICK, idempotency_key=key)).pictures
