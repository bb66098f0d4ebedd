"""The stream: what comes, in which order, and how often."""

from __future__ import annotations

import re
from typing import Any

import grpc
import pytest

from backdrop import (
    Accepted,
    AsyncClient,
    Event,
    Picture,
    Stage,
    StageStarted,
    StepProgress,
    Summary,
    VariantFinished,
)
from backdrop.v1 import generation_service_pb2 as pb
from tests.contract.bad_inputs import stream, valid_request
from tests.contract.photos import QUICK, SLOW, TASK, default_of, scores_of

STAGES = [Stage.ENCODE, Stage.PREPARE, Stage.DENOISE, Stage.DECODE, Stage.SCORE, Stage.SELECT]


async def collect(client: AsyncClient, **options: Any) -> list[Event]:
    return [event async for event in client.generate(TASK, **{**QUICK, **options})]


async def test_accepted_is_first_and_the_summary_last(client: AsyncClient) -> None:
    events = await collect(client, variants=2)
    first, last = events[0], events[-1]
    assert isinstance(first, Accepted)
    assert isinstance(last, Summary)
    assert sum(isinstance(event, Summary) for event in events) == 1
    assert re.fullmatch("[0-9a-f]{32}", first.request_id)
    assert last.request_id == first.request_id
    assert not last.replayed


async def test_pictures_come_one_by_one_best_first_before_the_summary(client: AsyncClient) -> None:
    events = await collect(client, variants=4, top_k=3)
    pictures = [event for event in events if isinstance(event, Picture)]
    assert events[-4:-1] == pictures
    assert [picture.rank for picture in pictures] == [0, 1, 2]
    totals = [scores_of(picture).total for picture in pictures]
    assert totals == sorted(totals, reverse=True)
    assert events.index(StageStarted(Stage.SELECT)) < events.index(pictures[0])


async def test_no_message_holds_two_pictures(channel: grpc.aio.Channel) -> None:
    """On the wire: a message for each picture, none larger than it, and the summary counts them."""
    request = valid_request({"selection.variants": 3, "delivery.size": pb.Size(width=160, height=120)})
    messages = [pb.GenerateResponse.FromString(raw) async for raw in stream(channel, request.SerializeToString())]
    pictures = [message.picture for message in messages if message.HasField("picture")]
    assert len(pictures) == messages[-1].summary.pictures == 3
    assert [message.WhichOneof("event") for message in messages[-4:]] == ["picture"] * 3 + ["summary"]
    for message in messages:
        assert message.ByteSize() <= max(len(message.picture.data), len(message.step.preview)) + 4096


async def test_a_result_collects_the_pictures(client: AsyncClient) -> None:
    generation = client.generate(TASK, **QUICK, variants=3, top_k=2)
    events = [event async for event in generation]
    result = await generation
    assert list(result.pictures) == [event for event in events if isinstance(event, Picture)]
    assert result.best.rank == 0
    assert result.settings == events[-1].settings if isinstance(events[-1], Summary) else False


async def test_stages_begin_once_and_in_order(client: AsyncClient) -> None:
    events = await collect(client, variants=2)
    assert [event.stage for event in events if isinstance(event, StageStarted)] == STAGES


@pytest.mark.parametrize(("guidance_scale", "rows"), [(1.0, 1), (5.0, 2)])
async def test_row_steps_count_rows_times_steps_times_variants(
    client: AsyncClient, guidance_scale: float, rows: int
) -> None:
    events = await collect(client, variants=2, steps=3, guidance_scale=guidance_scale)
    assert isinstance(events[0], Accepted)
    assert events[0].row_steps == 2 * 3 * rows


async def test_every_step_of_every_variant_is_told(client: AsyncClient) -> None:
    events = await collect(client, variants=2, steps=3)
    steps = [event for event in events if isinstance(event, StepProgress)]
    for variant in (0, 1):
        assert [(step.step, step.steps) for step in steps if step.variant == variant] == [(1, 3), (2, 3), (3, 3)]
    assert all(step.preview == b"" for step in steps)


async def test_steps_lie_between_denoise_and_the_variants_end(client: AsyncClient) -> None:
    events = await collect(client, variants=2)
    denoise = events.index(StageStarted(Stage.DENOISE))
    for variant in (0, 1):
        steps = [i for i, event in enumerate(events) if isinstance(event, StepProgress) and event.variant == variant]
        ends = [i for i, event in enumerate(events) if isinstance(event, VariantFinished) and event.variant == variant]
        assert denoise < steps[0]
        assert len(ends) == 1
        assert steps[-1] < ends[0]


async def test_every_variant_is_told_though_fewer_return(client: AsyncClient) -> None:
    events = await collect(client, variants=3, top_k=1)
    finished = {event.variant: event for event in events if isinstance(event, VariantFinished)}
    assert sorted(finished) == [0, 1, 2]
    (best,) = [event for event in events if isinstance(event, Picture)]
    assert (finished[best.variant].seed, finished[best.variant].scores) == (best.seed, best.scores)


@pytest.mark.parametrize(("every", "expected"), [(1, {1, 2, 3}), (2, {2}), (1000, set())])
async def test_previews_come_as_often_as_the_request_says(client: AsyncClient, every: int, expected: set[int]) -> None:
    events = await collect(client, steps=3, preview_every=every, output_size=(96, 64))
    previews = {event.step: event.preview for event in events if isinstance(event, StepProgress) and event.preview}
    assert set(previews) == expected
    assert all(preview.startswith(b"\xff\xd8\xff") for preview in previews.values())  # JPEG


async def test_timings_cover_the_stages_in_order(client: AsyncClient) -> None:
    result = await client.generate(TASK, **QUICK)
    assert [timing.stage for timing in result.timings] == STAGES
    assert all(0 <= timing.duration_s < 60 for timing in result.timings)


async def test_settings_are_reported_with_every_default(client: AsyncClient) -> None:
    info = await client.info()
    pipeline = default_of(info)
    result = await client.generate(TASK, guidance_scale=1.0)
    settings = result.settings
    assert (settings.task, settings.pipeline) == ("background", pipeline.name)
    assert settings.steps == pipeline.default_steps
    assert settings.scheduler == pipeline.default_scheduler
    assert (settings.variants, settings.top_k, settings.output_format) == (1, 1, "png")
    assert settings.scene_size in pipeline.scene_sizes
    assert settings.seed == result.best.seed


async def test_row_steps_of_a_long_request_are_told_before_they_are_paid(client: AsyncClient) -> None:
    async with client.generate(TASK, **SLOW) as generation:
        first = await anext(generation)
        assert isinstance(first, Accepted)
        assert first.row_steps == 1_600
