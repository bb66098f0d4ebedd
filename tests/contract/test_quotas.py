"""Quotas: a caller sees its own, and how much of each is used."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping

from backdrop import AsyncClient
from tests.contract.conftest import QUOTAS
from tests.contract.photos import QUICK, TASK
from tests.patience import PATIENCE_S


async def used(client: AsyncClient) -> dict[str, float]:
    return {quota.name: quota.used for quota in (await client.info()).quotas}


async def test_quotas_are_listed_with_their_limits(client: AsyncClient) -> None:
    assert {quota.name: quota.limit for quota in (await client.info()).quotas} == QUOTAS


def ended(before: Mapping[str, float], now: Mapping[str, float]) -> bool:
    """Whether a request that was running is over, and its result stored."""
    return (
        now["concurrent_requests"] == before["concurrent_requests"]
        and now["stored_bytes"] > before["stored_bytes"] + 500
    )


async def test_what_is_used_is_counted(client: AsyncClient) -> None:
    before = await used(client)
    async with client.generate(TASK, **{**QUICK, "steps": 50}, idempotency_key=uuid.uuid4().hex) as generation:
        await anext(generation)
        during = await used(client)
        async for _ in generation:
            pass
    assert during["concurrent_requests"] == before["concurrent_requests"] + 1
    assert 0 <= during["row_step_megapixels_per_minute"] <= QUOTAS["row_step_megapixels_per_minute"]
    async with asyncio.timeout(PATIENCE_S):  # the server counts the end, and what it stores, after its last message
        while not ended(before, await used(client)):  # noqa: ASYNC110  # nothing tells
            await asyncio.sleep(0.05)
