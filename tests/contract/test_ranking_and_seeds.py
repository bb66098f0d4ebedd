"""n pictures, the best k of them, and the seeds that make each of them again."""

from __future__ import annotations

import asyncio

import pytest

from backdrop import AsyncClient, Result
from tests.contract.photos import QUICK, TASK, default_of, scores_of


@pytest.mark.parametrize(("variants", "top_k", "expected"), [(1, 0, 1), (3, 0, 3), (3, 2, 2), (3, 3, 3), (3, 1, 1)])
async def test_k_of_n_pictures_return(client: AsyncClient, variants: int, top_k: int, expected: int) -> None:
    result = await client.generate(TASK, **QUICK, variants=variants, top_k=top_k)
    assert len(result.pictures) == expected
    assert (result.settings.variants, result.settings.top_k) == (variants, top_k or variants)
    assert len({picture.variant for picture in result.pictures}) == expected
    assert all(0 <= picture.variant < variants for picture in result.pictures)


async def test_the_best_come_first(client: AsyncClient) -> None:
    result = await client.generate(TASK, **QUICK, variants=4)
    totals = [scores_of(picture).total for picture in result.pictures]
    assert totals == sorted(totals, reverse=True)
    info = await client.info()
    for picture in result.pictures:
        heads = scores_of(picture).heads
        assert set(heads) == set(default_of(info).reward_heads)
        assert all(0.0 <= score <= 1.0 for score in heads.values())
        assert scores_of(picture).total == pytest.approx(sum(heads.values()) / len(heads), abs=1e-5)


async def test_the_first_variant_keeps_the_seed(client: AsyncClient) -> None:
    result = await client.generate(TASK, **QUICK, variants=3, seed=7)
    seeds = {picture.variant: picture.seed for picture in result.pictures}
    assert seeds[0] == result.settings.seed == 7
    assert len(set(seeds.values())) == 3
    assert all(0 <= seed < 2**63 for seed in seeds.values())


async def test_a_variants_seed_alone_makes_it_again(client: AsyncClient) -> None:
    together = await client.generate(TASK, **QUICK, variants=2, seed=11)
    for picture in together.pictures:
        alone = await client.generate(TASK, **QUICK, seed=picture.seed)
        assert alone.best.data == picture.data
        assert alone.best.scores == picture.scores


@pytest.mark.parametrize("seed", [0, 2**63 - 1])
async def test_the_range_of_seeds_is_whole(client: AsyncClient, seed: int) -> None:
    result = await client.generate(TASK, **QUICK, seed=seed)
    assert result.best.seed == seed


async def test_the_same_request_makes_the_same_bytes(client: AsyncClient) -> None:
    def bytes_of(result: Result) -> list[bytes]:
        return [picture.data for picture in result.pictures]

    first = await client.generate(TASK, **QUICK, variants=2, seed=3)
    # Rows of other requests in its batches must not change it.
    others = [client.generate(TASK, **{**QUICK, "prompt": "in the snow"}, seed=seed) for seed in (1, 2)]
    again, *_ = await asyncio.gather(client.generate(TASK, **QUICK, variants=2, seed=3), *others)
    assert bytes_of(again) == bytes_of(first)
    assert not again.replayed


async def test_another_seed_makes_another_picture(client: AsyncClient) -> None:
    first, second = [await client.generate(TASK, **QUICK, seed=seed) for seed in (1, 2)]
    assert first.best.data != second.best.data


async def test_no_seed_is_another_seed_every_time(client: AsyncClient) -> None:
    first, second = [await client.generate(TASK, **QUICK) for _ in range(2)]
    assert first.settings.seed != second.settings.seed
    again = await client.generate(TASK, **QUICK, seed=first.settings.seed)
    assert again.best.data == first.best.data


async def test_the_prompt_and_the_scheduler_matter(client: AsyncClient) -> None:
    plain = await client.generate(TASK, **QUICK, seed=5)
    other_words = await client.generate(TASK, **{**QUICK, "prompt": "under water, deep blue"}, seed=5)
    info = await client.info()
    pipeline = default_of(info)
    offered = pipeline.schedulers
    by_scheduler = {name: (await client.generate(TASK, **QUICK, seed=5, scheduler=name)).best for name in offered}
    assert plain.best.data != other_words.best.data
    assert by_scheduler[pipeline.default_scheduler].data == plain.best.data
    assert len(by_scheduler) == len(offered)


async def test_fingerprints_are_those_of_the_served_models(client: AsyncClient) -> None:
    pipeline = default_of(await client.info())
    served = {model.name: model.fingerprint for model in pipeline.models}
    served |= {f"adapter:{adapter.name}": adapter.fingerprint for adapter in pipeline.adapters}
    result = await client.generate(TASK, **QUICK)
    assert result.model_fingerprints
    assert set(result.model_fingerprints.items()) <= set(served.items())
