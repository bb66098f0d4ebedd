"""Adapters by request: they change the scene by their weights, alone and together, and are refused by name.

What needs a pipeline with adapters runs on every server that has one, and says so where there is none. A third server
has a small repository of its own. Pictures are made from words, a task without adapters of its own.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from backdrop import (
    Adapter,
    AsyncClient,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    Pipeline,
    Reason,
    Result,
    TextToImage,
)
from backdrop.testing import FakeBackdrop
from local.cluster import Cluster, Options
from tests.contract.adapted import repository
from tests.contract.photos import QUICK, TASK, receipt_of
from tests.export import tiny

FIELD = "conditioning.adapters"


@pytest.fixture(
    scope="module",
    params=[
        "fake",
        pytest.param("real", marks=pytest.mark.cluster),
        pytest.param("adapted", marks=[pytest.mark.full, pytest.mark.timeout(tiny.EXPORT_TIMEOUT_S)]),
    ],
)
def endpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of a service that keeps the contract."""
    if request.param == "adapted":
        logs = tmp_path_factory.mktemp("adapted-logs")
        with Cluster(Options(repository=repository(tmp_path_factory), log_folder=logs, port=0)) as cluster:
            yield cluster.endpoints.orchestrator
    elif request.param == "real":
        yield request.getfixturevalue("cluster_endpoint")
    else:
        with FakeBackdrop() as fake:
            yield fake.endpoint


@pytest.fixture
async def adapted(client: AsyncClient) -> Pipeline:
    """A pipeline with more than one adapter."""
    for pipeline in (await client.info()).pipelines:
        if len(pipeline.adapters) > 1:
            return pipeline
    pytest.skip("no pipeline of this server's repository has adapters")


def names_of(pipeline: Pipeline) -> list[str]:
    return [adapter.name for adapter in pipeline.adapters]


async def result_of(client: AsyncClient, pipeline: Pipeline, adapters: Any = None, **more: Any) -> Result:
    """The result of a fixed seed."""
    options = {**QUICK, "seed": 5, "pipeline": pipeline.name, **more}
    return await client.generate(TextToImage(), **options, **({} if adapters is None else {"adapters": adapters}))


async def best_of(client: AsyncClient, pipeline: Pipeline, adapters: Any = None, **more: Any) -> bytes:
    """The best picture's bytes."""
    return (await result_of(client, pipeline, adapters, **more)).best.data


async def test_pipelines_say_which_adapters_they_have(client: AsyncClient) -> None:
    for pipeline in (await client.info()).pipelines:
        assert names_of(pipeline) == sorted(set(names_of(pipeline)))
        assert bool(pipeline.adapters) == (pipeline.max_adapters > 0)
        assert all(adapter.fingerprint.startswith("sha256:") for adapter in pipeline.adapters)


async def test_each_adapter_changes_the_scene_and_both_together_change_it_otherwise(
    client: AsyncClient, adapted: Pipeline
) -> None:
    one, other = names_of(adapted)[:2]
    sets: list[Any] = [None, [one], [other], [one, other], {one: 0.5}, {one: 0.5, other: -0.5}]
    pictures = [await best_of(client, adapted, each) for each in sets]
    assert len(set(pictures)) == len(sets)
    assert await best_of(client, adapted, [one]) == pictures[1]


async def test_what_means_the_same_makes_the_same(client: AsyncClient, adapted: Pipeline) -> None:
    one, other = names_of(adapted)[:2]
    both = await best_of(client, adapted, {one: 1.0, other: 0.5})
    assert await best_of(client, adapted, [Adapter(other, 0.5), one]) == both
    assert (
        await best_of(client, adapted, {one: 0.0})
        == await best_of(client, adapted, [])
        == await best_of(client, adapted)
    )


async def test_requests_with_different_adapters_at_once_get_their_own_pictures(
    client: AsyncClient, adapted: Pipeline
) -> None:
    one, other = names_of(adapted)[:2]
    sets: list[Any] = [None, [one], [other], [one, other]]
    alone = [await best_of(client, adapted, each, guidance_scale=3.0) for each in sets]
    together = await asyncio.gather(*(best_of(client, adapted, each, guidance_scale=3.0) for each in sets * 2))
    assert together == alone * 2


async def test_what_was_used_is_reported_with_its_digest(client: AsyncClient, adapted: Pipeline) -> None:
    one, other = adapted.adapters[:2]
    plain = await result_of(client, adapted)
    result = await result_of(client, adapted, [Adapter(other.name, 0.5), Adapter(one.name, 0.0)])
    assert result.settings.adapters == (Adapter(other.name, 0.5),)
    used = {f"adapter:{other.name}": other.fingerprint}
    assert dict(result.model_fingerprints) == {**plain.model_fingerprints, **used}
    assert not any(name.startswith("adapter:") for name in plain.model_fingerprints)
    assert plain.settings.adapters == ()


async def test_a_product_is_exact_with_an_adapter(client: AsyncClient, adapted: Pipeline) -> None:
    result = await client.generate(TASK, **QUICK, pipeline=adapted.name, adapters=names_of(adapted)[:1])
    assert receipt_of(result.best).max_difference == 0


async def test_a_variants_seed_alone_makes_it_again(client: AsyncClient, adapted: Pipeline) -> None:
    adapters = names_of(adapted)[:1]
    together = await result_of(client, adapted, adapters, variants=2)
    for picture in together.pictures:
        assert await best_of(client, adapted, adapters, seed=picture.seed) == picture.data


async def test_adapters_belong_to_what_an_idempotency_key_stands_for(client: AsyncClient, adapted: Pipeline) -> None:
    one, other = names_of(adapted)[:2]
    key = uuid.uuid4().hex
    first = await result_of(client, adapted, [one], idempotency_key=key)
    again = await result_of(client, adapted, [one], idempotency_key=key)
    assert again.replayed
    assert again.pictures == first.pictures
    assert again.model_fingerprints == first.model_fingerprints
    for others in (None, [other], {one: 0.5}):
        with pytest.raises(ConflictError):
            await result_of(client, adapted, others, idempotency_key=key)


async def test_too_many_and_doubled_ones_are_refused(client: AsyncClient, adapted: Pipeline) -> None:
    names = names_of(adapted)
    with pytest.raises(InvalidRequestError) as caught:
        await result_of(client, adapted, [names[0], Adapter(names[0], 0.5)])
    assert (caught.value.reason, caught.value.field) == (Reason.DUPLICATE, f"{FIELD}[1].name")
    assert await best_of(client, adapted, names[: adapted.max_adapters])
    if len(names) > adapted.max_adapters:
        with pytest.raises(InvalidRequestError) as caught:
            await result_of(client, adapted, names)
        assert (caught.value.reason, caught.value.field) == (Reason.OUT_OF_RANGE, FIELD)


@pytest.mark.parametrize("weight", [5.5, -5.5, float("nan"), float("inf")])
async def test_a_weight_out_of_range_is_refused(client: AsyncClient, adapted: Pipeline, weight: float) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await result_of(client, adapted, {names_of(adapted)[0]: weight})
    assert (caught.value.reason, caught.value.field) == (Reason.OUT_OF_RANGE, f"{FIELD}[0].weight")


async def test_an_unknown_adapter_is_not_found_and_those_of_the_pipeline_are_named(client: AsyncClient) -> None:
    for pipeline in (await client.info()).pipelines:
        with pytest.raises(NotFoundError) as caught:
            await result_of(client, pipeline, ["no-such-adapter"])
        assert (caught.value.reason, caught.value.field) == (Reason.UNKNOWN_ADAPTER, f"{FIELD}[0].name")
        assert (", ".join(names_of(pipeline)) or "it has none") in caught.value.message
