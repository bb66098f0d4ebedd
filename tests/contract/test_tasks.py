"""Tasks: which there are, what each takes, and pictures of which nothing was known."""

from __future__ import annotations

import grpc
import numpy as np
import pytest

from backdrop import (
    AsyncClient,
    InvalidRequestError,
    Pipeline,
    Reason,
    TextToImage,
)
from tests.contract.bad_inputs import stream, valid_request
from tests.contract.photos import QUICK, TASK, pixels, scores_of
from tests.pictures import noisy_photo

WORDS = TextToImage()


@pytest.fixture
async def pipeline(client: AsyncClient) -> Pipeline:
    """A pipeline that makes pictures from words."""
    for pipeline in (await client.info()).pipelines:
        if WORDS.name in pipeline.tasks:
            return pipeline
    pytest.skip("no pipeline of this server's repository serves text_to_image")


async def test_text_to_image_makes_a_whole_picture_without_a_receipt(client: AsyncClient, pipeline: Pipeline) -> None:
    result = await client.generate(WORDS, **QUICK, variants=2, pipeline=pipeline.name)
    assert result.settings.task == "text_to_image"
    assert result.settings.output_size == pipeline.scene_sizes[0]
    assert len(result.pictures) == 2
    for picture in result.pictures:
        assert picture.receipt is None
        assert picture.image().size == pipeline.scene_sizes[0]
        assert set(scores_of(picture).heads) <= set(pipeline.reward_heads)
        assert np.ptp(pixels(picture)) > 0


@pytest.mark.parametrize("size", [(64, 64), (200, 80)])
async def test_text_to_image_has_the_requested_size(
    client: AsyncClient, pipeline: Pipeline, size: tuple[int, int]
) -> None:
    result = await client.generate(WORDS, **QUICK, output_size=size, pipeline=pipeline.name)
    assert result.settings.output_size == size == result.best.image().size


async def test_text_to_image_repeats_itself_by_its_seed(client: AsyncClient, pipeline: Pipeline) -> None:
    together = await client.generate(WORDS, **QUICK, variants=2, seed=11, pipeline=pipeline.name)
    for picture in together.pictures:
        alone = await client.generate(WORDS, **QUICK, seed=picture.seed, pipeline=pipeline.name)
        assert alone.best.data == picture.data
    other = await client.generate(WORDS, **{**QUICK, "prompt": "snow"}, seed=11, pipeline=pipeline.name)
    assert other.best.data != next(picture for picture in together.pictures if picture.variant == 0).data


async def test_previews_come_without_known_pixels_too(client: AsyncClient, pipeline: Pipeline) -> None:
    generation = client.generate(WORDS, **QUICK, preview_every=1, pipeline=pipeline.name)
    previews = [getattr(event, "preview", b"") async for event in generation]
    assert sum(preview.startswith(b"\xff\xd8\xff") for preview in previews) == QUICK["steps"]


async def test_style_pictures_are_enough_to_say_what_to_make(client: AsyncClient, pipeline: Pipeline) -> None:
    options = {**QUICK, "prompt": "", "pipeline": pipeline.name}
    with pytest.raises(InvalidRequestError) as caught:
        await client.generate(WORDS, **options)
    assert (caught.value.reason, caught.value.field) == (Reason.MISSING_FIELD, "conditioning.prompt")
    if pipeline.takes_style_images:
        assert (await client.generate(WORDS, **options, style_images=[noisy_photo(20, 20)])).pictures


async def test_a_pipeline_refuses_tasks_that_it_does_not_serve(client: AsyncClient) -> None:
    pipelines = (await client.info()).pipelines
    for pipeline in pipelines:
        for task in (TASK, WORDS):
            if task.name in pipeline.tasks:
                continue
            with pytest.raises(InvalidRequestError) as caught:
                await client.generate(task, **QUICK, pipeline=pipeline.name)
            assert (caught.value.reason, caught.value.field) == (Reason.TASK_NOT_SERVED, task.name)
            assert all(other.name in caught.value.message for other in pipelines if task.name in other.tasks)


async def test_no_task_is_a_missing_field(client: AsyncClient, channel: grpc.aio.Channel) -> None:
    request = valid_request({"background": None}).SerializeToString()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream(channel, request).read()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert all(task.name in (caught.value.details() or "") for task in (await client.info()).tasks)
