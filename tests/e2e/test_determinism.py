"""The same request makes the same bytes, whatever else is served at the same time; a variant's seed makes it again."""

import asyncio
from typing import Any

import pytest

from backdrop import AsyncClient, Background, Result
from tests.pictures import ellipse_mask, encoded, noisy_photo

TASK = Background(encoded(noisy_photo(96, 96)), encoded(ellipse_mask(96, 96)))


async def generate(client: AsyncClient, scheduler: str = "dpmpp_2m", **changes: Any) -> Result:
    options: dict[str, Any] = {"prompt": "a beach at sunset", "variants": 2, "steps": 3, "seed": 11, **changes}
    return await client.generate(TASK, scheduler=scheduler, **options)


def by_variant(result: Result) -> dict[int, bytes]:
    return {picture.variant: picture.data for picture in result.pictures}


async def test_alone_or_among_eight(cluster_endpoint: str) -> None:
    async with AsyncClient(cluster_endpoint, timeout_s=120) as client:
        alone = await generate(client)
        others = [generate(client, prompt=f"a city at night {i}", seed=i, steps=2 + i % 3) for i in range(4)]
        crowd = await asyncio.gather(*(generate(client) for _ in range(4)), *others)
    for result in crowd[:4]:
        assert by_variant(result) == by_variant(alone)
    assert by_variant(crowd[4]) != by_variant(alone)


@pytest.mark.parametrize("scheduler", ["dpmpp_2m", "ddpm"])
async def test_a_variants_seed_alone(cluster_endpoint: str, scheduler: str) -> None:
    async with AsyncClient(cluster_endpoint, timeout_s=120) as client:
        both = await generate(client, scheduler)
        for picture in both.pictures:
            again = await generate(client, scheduler, variants=1, seed=picture.seed)
            assert again.pictures[0].data == picture.data
