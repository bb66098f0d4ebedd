"""The pipeline over plain functions: order of events, determinism, cancellation, deadlines, and what costs rows."""

import asyncio
import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backdrop.errors import BackdropError, DeadlineExceededError, InvalidRequestError, OverloadedError, Reason, error
from orchestrator.domain import (
    Accepted,
    Dropping,
    Event,
    Finished,
    Fit,
    Job,
    MaskSource,
    Size,
    Stage,
    StageStarted,
    StepDone,
    VariantDone,
    VariantDropped,
    Window,
)
from orchestrator.pipeline import Pipeline
from orchestrator.sampler import variant_seed
from orchestrator.scheduling import Batcher, Priority
from orchestrator.scheduling.admission import Admission, Limits
from tests.orchestrator.small import DictCache, FunctionModels, KnownCost, capacity, job, style, tokenizers
from tests.pictures import ellipse_mask, noisy_photo


class Bench:
    """A pipeline and what is around it."""

    def __init__(self, folder: Path, max_buffered_events: int = 1000) -> None:
        self.models, self.cache, self.admission = FunctionModels(), DictCache(), Admission(Limits(2, 2))
        self.batcher = Batcher(self.models, lambda model: capacity(1, 4), new_cost=KnownCost)
        self.pipeline = Pipeline(
            *(self.batcher, self.cache, tokenizers(folder)[1], self.admission),
            max_buffered_events=max_buffered_events,
        )

    async def events(self, asked: Job, deadline: float | None = None) -> list[Event]:
        return [event async for event in self.pipeline.run(asked, deadline=deadline)]

    async def finished(self, asked: Job) -> Finished:
        last = (await self.events(asked))[-1]
        assert isinstance(last, Finished)
        return last


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_events_come_in_the_order_of_the_contract(bench: Bench) -> None:
    events = await bench.events(job())
    assert events[0] == Accepted(0)
    assert isinstance(events[-1], Finished)
    assert [e.stage for e in events if isinstance(e, StageStarted)] == list(Stage)
    for variant in (0, 1):
        assert [e.step for e in events if isinstance(e, StepDone) and e.variant == variant] == [1, 2, 3, 4]
    assert {e.seed for e in events if isinstance(e, VariantDone)} == {7, variant_seed(7, 1)}


async def test_rows_are_what_the_job_says_they_cost(bench: Bench) -> None:
    for asked in (job(), job(guidance_scale=1.0), job(variants=3, top_k=1, steps=2)):
        bench.models.calls.clear()
        await bench.finished(asked)
        assert bench.models.rows("denoiser") == asked.row_steps


async def test_the_best_come_first_and_no_more_than_asked(bench: Bench) -> None:
    everything = await bench.finished(job(variants=5, top_k=5))
    totals = [picture.scores.total for picture in everything.pictures]
    assert totals == sorted(totals, reverse=True)
    best = await bench.finished(job(variants=5, top_k=2))
    assert [p.data for p in best.pictures] == [p.data for p in everything.pictures[:2]]


async def test_a_draft_is_the_picture_in_so_few_steps(bench: Bench) -> None:
    events = await bench.events(job(variants=4, top_k=1, steps=6, dropping=(Dropping(2, draft_steps=3),)))
    dropped = [each for each in events if isinstance(each, VariantDropped)]
    assert len(dropped) == 2
    for each in dropped:
        alone = await bench.finished(job(variants=1, top_k=1, steps=3, seed=each.seed))
        assert alone.pictures[0].scores == each.scores
    drafts = {(each.step, each.steps) for each in events if isinstance(each, StepDone) and each.draft}
    assert drafts == {(1, 3), (2, 3), (3, 3)}


def test_drafts_that_cost_more_than_they_save_have_saved_nothing() -> None:
    asked = job(variants=4, top_k=1, steps=4, dropping=(Dropping(3, draft_steps=3),))
    assert (asked.row_steps, asked.saved_row_steps) == (2 * (4 * 3 + 3 * 4), 0)


@pytest.mark.parametrize("scheduler", ["ddim", "euler", "dpmpp_2m", "ddpm", "lcm"])
async def test_a_variants_seed_alone_makes_its_bytes_again(bench: Bench, scheduler: str) -> None:
    both = await bench.finished(job(scheduler=scheduler))
    for picture in both.pictures:
        alone = await bench.finished(job(scheduler=scheduler, variants=1, top_k=1, seed=picture.seed))
        assert alone.pictures[0].data == picture.data


async def test_the_product_is_exact_and_the_receipt_says_so(bench: Bench) -> None:
    asked = job(photo=noisy_photo(90, 70), mask=ellipse_mask(90, 70))
    picture = (await bench.finished(asked)).pictures[0]
    out = np.asarray(Image.open(io.BytesIO(picture.data)))
    opaque = ellipse_mask(90, 70) == 255
    assert (out[opaque] == noisy_photo(90, 70)[opaque]).all()
    assert picture.receipt.max_difference == 0
    assert picture.receipt.compared_pixels == opaque.sum()
    assert picture.receipt.unscaled


async def test_the_segmenter_is_asked_only_without_a_mask(bench: Bench) -> None:
    await bench.finished(job())
    assert bench.models.rows("segmenter") == 0
    finished = await bench.finished(job(mask=None, mask_source=MaskSource.SEGMENTER))
    assert bench.models.rows("segmenter") == 1
    assert finished.pictures[0].receipt.mask_source == MaskSource.SEGMENTER


async def test_a_second_request_finds_embeddings_and_latents_cached(bench: Bench) -> None:
    first, second = await bench.finished(job()), await bench.finished(job())
    assert (first.cache.misses, first.cache.memory_hits) == (5, 0)
    assert (second.cache.misses, second.cache.memory_hits) == (0, 5)
    assert [p.data for p in first.pictures] == [p.data for p in second.pictures]


async def test_a_style_pictures_embeddings_are_cached_beside_the_texts(bench: Bench) -> None:
    asked = job(pipeline="small-style", style=style((230, 150, 60), (30, 80, 200)), image_scale=1.0)
    first, second = await bench.finished(asked), await bench.finished(asked)
    assert (first.cache.misses, first.cache.memory_hits) == (9, 0)  # two encoders for each of two pictures
    assert (second.cache.misses, second.cache.memory_hits) == (0, 9)
    assert [p.data for p in first.pictures] == [p.data for p in second.pictures]
    plain = await bench.finished(job(pipeline="small-style"))
    assert plain.pictures[0].data != first.pictures[0].data


async def test_a_flow_is_sampled_from_noise_with_previews_and_repeats_itself(bench: Bench) -> None:
    asked = job(pipeline="small-flow", preview_every=1)
    events = await bench.events(asked)
    steps = [event for event in events if isinstance(event, StepDone)]
    assert all(Image.open(io.BytesIO(step.preview)).size == (32, 32) for step in steps)
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert bench.models.rows("denoiser_flow") == asked.row_steps
    assert finished.pictures[0].receipt.max_difference == 0
    for picture in finished.pictures:
        alone = await bench.finished(job(pipeline="small-flow", variants=1, top_k=1, seed=picture.seed))
        assert alone.pictures[0].data == picture.data


async def test_pipelines_run_side_by_side(bench: Bench) -> None:
    names = ("small", "small-flow")
    alone = [(await bench.finished(job(pipeline=name))).pictures[0].data for name in names]
    together = await asyncio.gather(*(bench.finished(job(pipeline=name)) for name in names))
    assert [finished.pictures[0].data for finished in together] == alone


async def test_unguided_jobs_never_encode_the_negative_prompt(bench: Bench) -> None:
    await bench.finished(job(guidance_scale=1.0))
    assert bench.models.rows("text_encoder_g") == 1


async def test_previews_come_when_asked_for(bench: Bench) -> None:
    events = await bench.events(job(preview_every=2, variants=1, top_k=1))
    steps = [event for event in events if isinstance(event, StepDone)]
    assert [bool(step.preview) for step in steps] == [False, True, False, True]
    assert Image.open(io.BytesIO(steps[1].preview)).size == (32, 32)


async def test_closing_the_stream_stops_before_the_next_step(bench: Bench) -> None:
    run = bench.pipeline.run(job(steps=50, variants=1, top_k=1))
    async for event in run:
        if isinstance(event, StepDone) and event.step == 3:
            break
    sent = bench.models.rows("denoiser")  # steps may run ahead of their reader
    await run.aclose()
    done = bench.models.rows("denoiser")
    assert done <= sent + 2  # the step in flight, at most
    await asyncio.sleep(0.01)
    assert bench.models.rows("denoiser") == done
    assert bench.admission.running == 0


async def test_a_deadline_that_passes_stops_the_work(bench: Bench) -> None:
    async def hang(model: str) -> None:
        await asyncio.sleep(60 if model == "denoiser" else 0)

    bench.models.before = hang
    with pytest.raises(DeadlineExceededError, match="passed before the pictures were ready") as caught:
        await bench.events(job(steps=50), deadline=time.monotonic() + 0.2)
    assert caught.value.reason is Reason.DEADLINE_EXCEEDED
    assert bench.models.rows("denoiser") < 50
    assert bench.admission.running == 0


async def test_a_deadline_that_cannot_be_met_stops_the_work(bench: Bench) -> None:
    async def slow(model: str) -> None:
        await asyncio.sleep(0.05 if model == "denoiser" else 0)

    bench.models.before = slow
    asked = job(steps=50)
    with pytest.raises(DeadlineExceededError, match="can no longer be met") as caught:
        await bench.events(asked, deadline=time.monotonic() + 1.0)
    assert caught.value.reason is Reason.DEADLINE_EXCEEDED
    rows_a_step = asked.row_steps // asked.steps
    assert bench.models.rows("denoiser") <= 2 * rows_a_step, "the pace of the first step says that 50 are hopeless"
    assert bench.admission.running == 0
    # Once the pace is known, a hopeless deadline costs nothing.
    await bench.finished(job(steps=1))
    bench.models.calls.clear()
    with pytest.raises(DeadlineExceededError) as caught:
        await bench.events(job(steps=50), deadline=time.monotonic() + 0.5)
    assert caught.value.reason is Reason.DEADLINE_TOO_SHORT
    assert bench.models.calls == []


async def test_a_failing_model_fails_the_job_as_itself_and_stops_the_others(bench: Bench) -> None:
    async def fail(model: str) -> None:
        if model == "denoiser" and bench.models.rows("denoiser") > 6:
            raise error(Reason.MODEL_FAILED, "the denoiser returned numbers that are not finite.")

    bench.models.before = fail
    with pytest.raises(BackdropError) as caught:
        await bench.events(job(variants=4, top_k=4, steps=20))
    assert caught.value.reason is Reason.MODEL_FAILED
    assert bench.admission.running == 0


async def test_a_slow_reader_is_cut_off(tmp_path: Path) -> None:
    bench = Bench(tmp_path, max_buffered_events=5)
    run = bench.pipeline.run(job(steps=50))
    await anext(run)
    while bench.admission.running:  # noqa: ASYNC110 (there is no event to wait for: nobody reads the stream)
        await asyncio.sleep(0.01)
    with pytest.raises(OverloadedError) as caught:
        async for _ in run:
            pass
    assert caught.value.reason is Reason.SLOW_READER


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"mask": np.full((64, 64), 255, np.uint8)}, "mask"),
        ({"mask": np.full((64, 64), 255, np.uint8), "output_size": Size(64, 64), "placement": Fit(0.0)}, "placement"),
    ],
)
async def test_a_picture_without_room_for_a_scene_is_refused(bench: Bench, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await bench.events(job(**changes))
    assert (caught.value.reason, caught.value.field) == (Reason.INVALID_MASK, field)


async def test_steps_outside_the_guidance_window_are_one_row(bench: Bench) -> None:
    whole = await bench.finished(job(steps=10, variants=2, top_k=1))
    assert bench.models.rows("denoiser") == whole.job.row_steps == 40
    bench.models.calls.clear()
    windowed = await bench.finished(job(steps=10, variants=2, top_k=1, guidance_window=Window(0.2, 0.7)))
    assert bench.models.rows("denoiser") == windowed.job.row_steps == 30
    assert (whole.job.saved_row_steps, windowed.job.saved_row_steps) == (0, 10)
    assert windowed.pictures[0].data != whole.pictures[0].data
    again = await bench.finished(job(steps=10, variants=2, top_k=1, guidance_window=Window(0.0, 1.0)))
    assert again.pictures[0].data == whole.pictures[0].data


async def test_urgent_steps_go_first_and_nothing_is_lost(bench: Bench) -> None:
    """While an interactive job takes its steps, a bulk one of the same size hardly gets any."""
    steps = dict.fromkeys(Priority, 0)
    bulk_at: list[int] = []  # at every step of the interactive job

    async def follow(asked: Job) -> None:
        async for event in bench.pipeline.run(asked):
            steps[asked.priority] += isinstance(event, StepDone)
            if isinstance(event, StepDone) and asked.priority is Priority.INTERACTIVE:
                bulk_at.append(steps[Priority.BULK])

    await asyncio.gather(
        follow(job(steps=200, variants=4, top_k=1, priority=Priority.BULK)),
        follow(job(steps=40, variants=4, top_k=1, priority=Priority.INTERACTIVE)),
    )
    assert bulk_at[-1] - bulk_at[0] < 0.2 * 160, "16 of 17 turns were the other's, once both had begun"
    assert (steps[Priority.INTERACTIVE], steps[Priority.BULK]) == (160, 800)
    assert (bench.batcher.running_rows, bench.batcher.waiting_rows) == (0, 0)


async def test_no_step_starts_after_the_caller_has_left(bench: Bench) -> None:
    """Cancelled at every await in turn: what runs then is finished, and nothing follows it."""
    for moment in range(1, 60, 3):
        bench.models.calls.clear()
        run = asyncio.create_task(bench.events(job(steps=20, variants=2, top_k=1)))
        for _ in range(moment):
            await asyncio.sleep(0)
        run.cancel()
        await asyncio.wait([run])
        calls = len(bench.models.calls)
        await asyncio.sleep(0.002)
        assert len(bench.models.calls) == calls
        assert (bench.batcher.running_rows, bench.batcher.waiting_rows, bench.admission.running) == (0, 0, 0)
