"""The pipeline over plain functions: order of events, determinism, cancellation, deadlines, and what costs rows."""

import asyncio
import dataclasses
import io
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backdrop.contract.canvas import MaskSource
from backdrop.contract.finishing import encode
from backdrop.contract.geometry import Fit, Size
from backdrop.contract.parts import Adapter, DroppingRound, OutputFormat, Window
from backdrop.contract.receipts import Receipt
from backdrop.contract.seeds import variant_seed
from backdrop.errors import BackdropError, DeadlineExceededError, InvalidRequestError, OverloadedError, Reason, error
from orchestrator.arrays import Bytes
from orchestrator.events import (
    Accepted,
    Event,
    Finished,
    Picture,
    Scores,
    Stage,
    StageStarted,
    StepDone,
    VariantDropped,
    VariantFinished,
)
from orchestrator.imaging.view import start_of
from orchestrator.pipeline import Pipeline
from orchestrator.repository import PipelineSpec
from orchestrator.request import Request
from orchestrator.scheduling import Batcher, Priority
from orchestrator.scheduling.admission import Admission, Limits
from orchestrator.stages import select
from orchestrator.stages.frames import PixelMemory
from orchestrator.tasks import Task
from orchestrator.tasks.background import BACKGROUND
from orchestrator.tasks.erase import ERASE
from orchestrator.tasks.text_to_image import TEXT_TO_IMAGE
from orchestrator.tasks.vary import VARY
from tests.orchestrator.small import (
    ADAPTERS,
    HEADS,
    DictCache,
    FunctionModels,
    KnownCost,
    capacity,
    model_spec,
    pipeline_spec,
    request,
    style,
    tokenizers,
)
from tests.pictures import ellipse_mask, noisy_photo

Slots = tuple[tuple[int, float], ...]
"""The adapters of a row: number in the bank and scale of each slot."""


@dataclasses.dataclass(frozen=True)
class Run:
    """One request's events, and what the last of them are."""

    events: list[Event]

    @property
    def pictures(self) -> list[Picture]:
        return [event for event in self.events if isinstance(event, Picture)]

    @property
    def scores(self) -> list[Scores]:
        """Those of the pictures that have some."""
        return [picture.scores for picture in self.pictures if picture.scores is not None]

    @property
    def best(self) -> Picture:
        return self.pictures[0]

    @property
    def receipt(self) -> Receipt:
        """The best picture's."""
        assert self.best.receipt is not None
        return self.best.receipt

    @property
    def finished(self) -> Finished:
        last = self.events[-1]
        assert isinstance(last, Finished)
        return last

    @property
    def data(self) -> list[bytes]:
        return [picture.data for picture in self.pictures]


class Bench:
    """A pipeline and what is around it."""

    def __init__(self, folder: Path, max_buffered_events: int = 1000) -> None:
        self.models, self.cache, self.admission = FunctionModels(), DictCache(), Admission(Limits(2, 2))
        self.batcher = Batcher(self.models, lambda model: capacity(1, 4), new_cost=KnownCost)
        self.pipeline = Pipeline(
            *(self.batcher, self.cache, tokenizers(folder)[1], self.admission),
            PixelMemory(16.0),
            max_buffered_events=max_buffered_events,
        )

    async def run(self, request_: Request, deadline: float | None = None) -> Run:
        return Run([event async for event in self.pipeline.run(request_, deadline=deadline)])


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def blending_flow() -> PipelineSpec:
    """A flow whose denoiser does not see known pixels."""
    spec = pipeline_spec("small-flow")
    return dataclasses.replace(spec, models={**spec.models, "denoiser": model_spec("denoiser_text")})


async def test_events_come_in_the_order_of_the_contract(bench: Bench) -> None:
    run = await bench.run(request())
    events = run.events
    assert events[0] == Accepted(0)
    assert isinstance(events[-1], Finished)
    assert [e.stage for e in events if isinstance(e, StageStarted)] == list(Stage)
    for variant in (0, 1):
        assert [e.step for e in events if isinstance(e, StepDone) and e.variant == variant] == [1, 2, 3, 4]
    assert {e.seed for e in events if isinstance(e, VariantFinished)} == {7, variant_seed(7, 1)}


async def test_without_a_reward_model_variants_keep_their_order_and_have_no_scores(bench: Bench) -> None:
    run = await bench.run(request(pipeline="small-bare", variants=3, top_k=3))
    assert [(picture.rank, picture.variant) for picture in run.pictures] == [(0, 0), (1, 1), (2, 2)]
    assert [e.scores for e in run.events if isinstance(e, VariantFinished | Picture)] == [None] * 6
    assert Stage.SCORE not in {e.stage for e in run.events if isinstance(e, StageStarted)}
    assert Stage.SCORE not in run.finished.timings
    # Its denoiser reads the states of one text encoder and no pooled text, as Stable Diffusion 1.5's does.
    assert {name for name, _ in bench.models.calls} == {
        *("text_encoder_l", "vae_encoder", "denoiser_bare", "vae_decoder"),
    }


async def test_a_reward_model_without_text_scores_any_pipeline(bench: Bench) -> None:
    spec = pipeline_spec("small-bare")
    models = {**spec.models, "reward": model_spec("reward_blind")}
    scored = dataclasses.replace(spec, models=models, reward_heads=("defects", "aesthetics"))
    run = await bench.run(request(pipeline=scored, variants=4, top_k=2))
    assert [tuple(scores.heads) for scores in run.scores] == [("defects", "aesthetics")] * 2
    assert set(bench.models.inputs["reward_blind"]) == {"image", "mask"}


async def test_pictures_come_one_by_one_in_the_order_of_their_rank(bench: Bench) -> None:
    run = await bench.run(request(variants=4, top_k=3))
    assert [picture.rank for picture in run.pictures] == [0, 1, 2]
    assert run.events[-4:] == [*run.pictures, run.finished], "pictures come last, before the end alone"
    assert run.finished.pictures == 3
    assert {picture.media_type for picture in run.pictures} == {"image/png"}
    assert {picture.size for picture in run.pictures} == {Size(64, 64)}


async def test_a_picture_leaves_before_the_next_is_finished(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    encoded: list[OutputFormat] = []

    def slowly(picture: Bytes, output_format: OutputFormat) -> bytes:
        if encoded:
            assert gate.wait(10)
        encoded.append(output_format)
        return encode(picture, output_format)

    monkeypatch.setattr(select, "encode", slowly)
    events = bench.pipeline.run(request(variants=4, top_k=4))
    async for event in events:
        if isinstance(event, Picture):
            assert event.rank == 0
            break
    assert len(encoded) == 1
    gate.set()
    assert [event.rank async for event in events if isinstance(event, Picture)] == [1, 2, 3]


async def test_rows_are_what_the_job_says_they_cost(bench: Bench) -> None:
    for request_ in (request(), request(guidance_scale=1.0), request(variants=3, top_k=1, steps=2)):
        bench.models.calls.clear()
        await bench.run(request_)
        assert bench.models.rows("denoiser") == request_.usage.row_steps


async def test_the_best_come_first_and_no_more_than_asked(bench: Bench) -> None:
    everything = await bench.run(request(variants=5, top_k=5))
    totals = [scores.total for scores in everything.scores]
    assert totals == sorted(totals, reverse=True)
    best = await bench.run(request(variants=5, top_k=2))
    assert best.data == everything.data[:2]


async def test_a_draft_is_the_picture_in_so_few_steps(bench: Bench) -> None:
    events = (
        await bench.run(request(variants=4, top_k=1, steps=6, dropping=(DroppingRound(2, draft_steps=3),)))
    ).events
    dropped = [each for each in events if isinstance(each, VariantDropped)]
    assert len(dropped) == 2
    for each in dropped:
        alone = await bench.run(request(variants=1, top_k=1, steps=3, seed=each.seed))
        assert alone.best.scores == each.scores
    drafts = {(each.step, each.steps) for each in events if isinstance(each, StepDone) and each.draft}
    assert drafts == {(1, 3), (2, 3), (3, 3)}


def test_drafts_that_cost_more_than_they_save_have_saved_nothing() -> None:
    request_ = request(variants=4, top_k=1, steps=4, dropping=(DroppingRound(3, draft_steps=3),))
    assert (request_.usage.row_steps, request_.usage.saved_row_steps) == (2 * (4 * 3 + 3 * 4), 0)


@pytest.mark.parametrize("scheduler", ["ddim", "euler", "dpmpp_2m", "ddpm", "lcm"])
async def test_a_variants_seed_alone_makes_its_bytes_again(bench: Bench, scheduler: str) -> None:
    both = await bench.run(request(scheduler=scheduler))
    for picture in both.pictures:
        alone = await bench.run(request(scheduler=scheduler, variants=1, top_k=1, seed=picture.seed))
        assert alone.best.data == picture.data


async def test_the_product_is_exact_and_the_receipt_says_so(bench: Bench) -> None:
    request_ = request(photo=noisy_photo(90, 70), mask=ellipse_mask(90, 70))
    run = await bench.run(request_)
    out = np.asarray(Image.open(io.BytesIO(run.best.data)))
    opaque = ellipse_mask(90, 70) == 255
    assert (out[opaque] == noisy_photo(90, 70)[opaque]).all()
    assert run.receipt.max_difference == 0
    assert run.receipt.compared_pixels == opaque.sum()
    assert run.receipt.kept.unscaled


async def test_the_segmenter_is_asked_only_without_a_mask(bench: Bench) -> None:
    await bench.run(request())
    assert bench.models.rows("segmenter") == 0
    finished = await bench.run(request(mask=None, mask_source=MaskSource.SEGMENTER))
    assert bench.models.rows("segmenter") == 1
    assert finished.receipt.kept.mask_source == MaskSource.SEGMENTER


async def test_a_second_request_finds_embeddings_and_latents_cached(bench: Bench) -> None:
    first, second = await bench.run(request()), await bench.run(request())
    assert (first.finished.cache.misses, first.finished.cache.memory_hits) == (5, 0)
    assert (second.finished.cache.misses, second.finished.cache.memory_hits) == (0, 5)
    assert first.data == second.data


async def test_a_style_pictures_embeddings_are_cached_beside_the_texts(bench: Bench) -> None:
    request_ = request(pipeline="small-style", style=style((230, 150, 60), (30, 80, 200)), image_scale=1.0)
    first, second = await bench.run(request_), await bench.run(request_)
    assert (first.finished.cache.misses, first.finished.cache.memory_hits) == (
        9,
        0,
    )  # two encoders for each of two pictures
    assert (second.finished.cache.misses, second.finished.cache.memory_hits) == (0, 9)
    assert first.data == second.data
    plain = await bench.run(request(pipeline="small-style"))
    assert plain.best.data != first.best.data


async def test_a_flow_is_sampled_from_noise_with_previews_and_repeats_itself(bench: Bench) -> None:
    request_ = request(pipeline="small-flow", preview_every=1)
    run = await bench.run(request_)
    steps = [event for event in run.events if isinstance(event, StepDone)]
    assert all(Image.open(io.BytesIO(step.preview)).size == (32, 32) for step in steps)
    assert bench.models.rows("denoiser_flow") == request_.usage.row_steps
    assert run.receipt.max_difference == 0
    for picture in run.pictures:
        alone = await bench.run(request(pipeline="small-flow", variants=1, top_k=1, seed=picture.seed))
        assert alone.best.data == picture.data


async def test_pipelines_run_side_by_side(bench: Bench) -> None:
    names = ("small", "small-flow")
    alone = [(await bench.run(request(pipeline=name))).best.data for name in names]
    together = await asyncio.gather(*(bench.run(request(pipeline=name)) for name in names))
    assert [run.best.data for run in together] == alone


async def test_unguided_jobs_never_encode_the_negative_prompt(bench: Bench) -> None:
    await bench.run(request(guidance_scale=1.0))
    assert bench.models.rows("text_encoder_g") == 1


async def test_previews_come_when_asked_for(bench: Bench) -> None:
    run = await bench.run(request(preview_every=2, variants=1, top_k=1))
    steps = [event for event in run.events if isinstance(event, StepDone)]
    assert [bool(step.preview) for step in steps] == [False, True, False, True]
    assert Image.open(io.BytesIO(steps[1].preview)).size == (32, 32)


async def test_closing_the_stream_stops_before_the_next_step(bench: Bench) -> None:
    run = bench.pipeline.run(request(steps=50, variants=1, top_k=1))
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
        await bench.run(request(steps=50), deadline=time.monotonic() + 0.2)
    assert caught.value.reason is Reason.DEADLINE_EXCEEDED
    assert bench.models.rows("denoiser") < 50
    assert bench.admission.running == 0


async def test_a_deadline_that_cannot_be_met_stops_the_work(bench: Bench) -> None:
    async def slow(model: str) -> None:
        await asyncio.sleep(0.05 if model == "denoiser" else 0)

    bench.models.before = slow
    request_ = request(steps=50)
    with pytest.raises(DeadlineExceededError, match="can no longer be met") as caught:
        await bench.run(request_, deadline=time.monotonic() + 1.0)
    assert caught.value.reason is Reason.DEADLINE_EXCEEDED
    rows_a_step = request_.usage.row_steps // request_.parts.sampling.steps
    assert bench.models.rows("denoiser") <= 2 * rows_a_step, "the pace of the first step says that 50 are hopeless"
    assert bench.admission.running == 0
    # Once the pace is known, a hopeless deadline costs nothing.
    await bench.run(request(steps=1))
    bench.models.calls.clear()
    with pytest.raises(DeadlineExceededError) as caught:
        await bench.run(request(steps=50), deadline=time.monotonic() + 0.5)
    assert caught.value.reason is Reason.DEADLINE_TOO_SHORT
    assert bench.models.calls == []


async def test_a_failing_model_fails_the_job_as_itself_and_stops_the_others(bench: Bench) -> None:
    async def fail(model: str) -> None:
        if model == "denoiser" and bench.models.rows("denoiser") > 6:
            raise error(Reason.MODEL_FAILED, "the denoiser returned numbers that are not finite.")

    bench.models.before = fail
    with pytest.raises(BackdropError) as caught:
        await bench.run(request(variants=4, top_k=4, steps=20))
    assert caught.value.reason is Reason.MODEL_FAILED
    assert bench.admission.running == 0


async def test_a_slow_reader_is_cut_off(tmp_path: Path) -> None:
    bench = Bench(tmp_path, max_buffered_events=5)
    run = bench.pipeline.run(request(steps=50))
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
        ({"mask": np.full((64, 64), 255, np.uint8)}, "background.mask"),
        (
            {"mask": np.full((64, 64), 255, np.uint8), "size": Size(64, 64), "placement": Fit(0.0)},
            "background.placement",
        ),
    ],
)
async def test_a_picture_without_room_for_a_scene_is_refused(bench: Bench, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await bench.run(request(**changes))
    assert (caught.value.reason, caught.value.field) == (Reason.INVALID_MASK, field)


async def test_steps_outside_the_guidance_window_are_one_row(bench: Bench) -> None:
    request_ = request(steps=10, variants=2, top_k=1)
    whole = await bench.run(request_)
    assert bench.models.rows("denoiser") == request_.usage.row_steps == 40
    bench.models.calls.clear()
    windowed_request = request(steps=10, variants=2, top_k=1, guidance_window=Window(0.2, 0.7))
    windowed = await bench.run(windowed_request)
    assert bench.models.rows("denoiser") == windowed_request.usage.row_steps == 30
    assert (request_.usage.saved_row_steps, windowed_request.usage.saved_row_steps) == (0, 10)
    assert windowed.best.data != whole.best.data
    again = await bench.run(request(steps=10, variants=2, top_k=1, guidance_window=Window(0.0, 1.0)))
    assert again.best.data == whole.best.data


async def test_urgent_steps_go_first_and_nothing_is_lost(bench: Bench) -> None:
    """While an interactive job takes its steps, a bulk one of the same size hardly gets any."""
    steps = dict.fromkeys(Priority, 0)
    bulk_at: list[int] = []  # at every step of the interactive job

    async def follow(request_: Request) -> None:
        async for event in bench.pipeline.run(request_):
            steps[request_.parts.priority] += isinstance(event, StepDone)
            if isinstance(event, StepDone) and request_.parts.priority is Priority.INTERACTIVE:
                bulk_at.append(steps[Priority.BULK])

    await asyncio.gather(
        follow(request(steps=200, variants=4, top_k=1, priority=Priority.BULK)),
        follow(request(steps=40, variants=4, top_k=1, priority=Priority.INTERACTIVE)),
    )
    assert bulk_at[-1] - bulk_at[0] < 0.2 * 160, "16 of 17 turns were the other's, once both had begun"
    assert (steps[Priority.INTERACTIVE], steps[Priority.BULK]) == (160, 800)
    assert (bench.batcher.running_rows, bench.batcher.waiting_rows) == (0, 0)


async def test_no_step_starts_after_the_caller_has_left(bench: Bench) -> None:
    """Cancelled at every await in turn: what runs then is finished, and nothing follows it."""
    for moment in range(1, 60, 3):
        bench.models.calls.clear()
        run = asyncio.create_task(bench.run(request(steps=20, variants=2, top_k=1)))
        for _ in range(moment):
            await asyncio.sleep(0)
        run.cancel()
        await asyncio.wait([run])
        calls = len(bench.models.calls)
        await asyncio.sleep(0.002)
        assert len(bench.models.calls) == calls
        assert (bench.batcher.running_rows, bench.batcher.waiting_rows, bench.admission.running) == (0, 0, 0)


@pytest.mark.parametrize("pipeline", ["small", "small-text"])
async def test_a_picture_from_words_keeps_nothing_and_has_no_receipt(bench: Bench, pipeline: str) -> None:
    request_ = request(TEXT_TO_IMAGE, pipeline, size=Size(96, 72), preview_every=4)
    run = await bench.run(request_)
    assert [picture.receipt for picture in run.pictures] == [None, None]
    assert [Image.open(io.BytesIO(data)).size for data in run.data] == [(96, 72)] * 2
    assert [e.stage for e in run.events if isinstance(e, StageStarted)] == list(Stage)
    assert bench.models.rows("segmenter") == 0
    previews = [event.preview for event in run.events if isinstance(event, StepDone) and event.preview]
    assert [Image.open(io.BytesIO(preview)).size for preview in previews] == [(32, 24)] * 2
    other = await bench.run(request(TEXT_TO_IMAGE, pipeline, size=Size(96, 72), prompt="a city"))
    assert other.best.data != run.best.data, "the prompt decides"
    assert (await bench.run(request_)).data == run.data


async def test_without_a_size_a_picture_from_words_has_the_first_bucket(bench: Bench) -> None:
    assert (await bench.run(request(TEXT_TO_IMAGE))).best.size == Size(64, 64)


async def test_a_denoiser_of_4_channels_gets_no_known_pixels(bench: Bench) -> None:
    await bench.run(request(TEXT_TO_IMAGE, "small-text"))
    sent = set(bench.models.inputs["denoiser_text"])
    assert sent == {"sample", "timestep", "encoder_hidden_states", "text_embeds", "time_ids"}
    assert bench.models.rows("vae_encoder") == 0, "nobody reads known latents"


@pytest.mark.parametrize("task", [BACKGROUND, ERASE], ids=lambda task: task.name)
async def test_a_denoiser_of_4_channels_serves_masked_tasks_too(bench: Bench, task: Task) -> None:
    changes: dict[str, Any] = {} if task is BACKGROUND else {"placement": 0}  # the options: how far the mask is widened
    run = await bench.run(request(task, "small-text", **changes))
    assert set(bench.models.inputs["denoiser_text"]).isdisjoint({"mask", "masked_image_latents"})
    assert bench.models.rows("vae_encoder") == 1, "the whole picture is encoded once"
    assert run.receipt.max_difference == 0
    assert run.receipt.compared_pixels
    other = await bench.run(request(task, "small-text", photo=noisy_photo(64, 64, seed=3), **changes))
    assert other.best.data != run.best.data


@pytest.mark.parametrize("pipeline", ["small-text", blending_flow()], ids=["diffusion", "flow"])
async def test_blended_pictures_do_not_depend_on_other_requests_of_the_batch(
    bench: Bench, pipeline: str | PipelineSpec
) -> None:
    dropping = (DroppingRound(2, draft_steps=2), DroppingRound(1, after=0.5))
    request_ = request(pipeline=pipeline, variants=3, top_k=1, steps=6, dropping=dropping)
    alone = await bench.run(request_)
    together, _ = await asyncio.gather(bench.run(request_), bench.run(request(pipeline=pipeline, seed=9, steps=5)))
    assert together.data == alone.data
    assert max(rows for name, rows in bench.models.calls if name.startswith("denoiser")) == 4, "rows shared a batch"


@pytest.mark.parametrize("name", ADAPTERS)
async def test_a_tasks_adapter_reaches_the_rows(bench: Bench, name: str) -> None:
    task = dataclasses.replace(BACKGROUND, adapters=(name,))
    run = await bench.run(request(task, "small-style"))
    rows = bench.models.inputs["denoiser_style"]
    assert set(rows["adapter"][:, 0]) == {ADAPTERS[name].row}
    assert set(rows["adapter_scale"][:, 0]) == {1.0}
    assert run.best.data != (await bench.run(request(pipeline="small-style"))).best.data


def noted_slots(bench: Bench) -> list[set[Slots]]:
    """For each later call of "small-style"'s denoiser, the adapters that its rows name: grows while requests run."""
    calls: list[set[Slots]] = []

    async def note(model: str) -> None:
        if model == "denoiser_style":
            rows = bench.models.inputs[model]
            pairs = zip(rows["adapter"].tolist(), rows["adapter_scale"].tolist(), strict=True)
            calls.append({tuple(zip(*pair, strict=True)) for pair in pairs})

    bench.models.before = note
    return calls


async def test_a_requests_adapters_reach_drafts_and_every_step(bench: Bench) -> None:
    dropping = (DroppingRound(2, draft_steps=1),)
    changes: dict[str, Any] = {"pipeline": "small-style", "variants": 3, "dropping": dropping}
    adapters = (Adapter("cold", 0.5), Adapter("wet", -1.0))
    calls = noted_slots(bench)
    run = await bench.run(request(adapters=adapters, **changes))
    assert calls
    assert all(call == {((2, 0.5), (3, -1.0))} for call in calls)
    assert run.best.data != (await bench.run(request(**changes))).best.data
    assert run.best.data != (await bench.run(request(adapters=adapters[:1], **changes))).best.data


async def test_requests_with_different_adapters_share_batches_and_stay_themselves(bench: Bench) -> None:
    warm, cold = Adapter("warm"), Adapter("cold", 0.75)
    changes: dict[str, Any] = {"pipeline": "small-style", "variants": 1, "top_k": 1}
    requests = [request(adapters=each, **changes) for each in ((), (warm,), (cold,), (cold, warm))]
    alone = [(await bench.run(each)).best.data for each in requests]
    assert len(set(alone)) == len(requests)
    calls = noted_slots(bench)
    together = await asyncio.gather(*(bench.run(each) for each in requests))
    assert [run.best.data for run in together] == alone
    assert any(len(call) > 1 for call in calls), "no call had rows of two requests"


async def test_a_start_from_the_picture_skips_steps_and_keeps_what_is_known(bench: Bench) -> None:
    request_ = request(steps=10, strength=0.5)
    run = await bench.run(request_)
    assert bench.models.rows("denoiser") == request_.usage.row_steps == 20
    for variant in (0, 1):
        steps = [event.step for event in run.events if isinstance(event, StepDone) and event.variant == variant]
        assert steps == [6, 7, 8, 9, 10]
    assert run.receipt.max_difference == 0
    assert run.best.data != (await bench.run(request(steps=10, strength=0.9))).best.data
    other = await bench.run(request(steps=10, strength=0.5, photo=noisy_photo(64, 64, seed=3)))
    assert other.best.data != run.best.data


async def test_without_a_step_every_variant_is_the_picture_as_the_autoencoder_makes_it(bench: Bench) -> None:
    run = await bench.run(request(VARY, steps=10, strength=0.0, variants=2, top_k=2))
    assert bench.models.rows("denoiser") == 0
    assert len(run.pictures) == 2
    assert run.pictures[0].data == run.pictures[1].data
    picture = start_of(VARY.frame(request(VARY).input))
    assert (bench.models.inputs["vae_decoder"]["latents"] == bench.models.encoded(picture)).all()


async def test_a_tasks_heads_decide_the_ranking(bench: Bench) -> None:
    default = await bench.run(request(variants=5, top_k=5))
    assert all(scores.judged_by == () for scores in default.scores)
    # The small reward model's "aesthetics" falls where "defects" and the mean of all heads rise.
    task = dataclasses.replace(BACKGROUND, heads=("aesthetics",))
    run = await bench.run(request(task, variants=5, top_k=5))
    assert run.data == default.data[::-1]
    assert [scores.total for scores in run.scores] == [scores.heads["aesthetics"] for scores in run.scores]
    assert [picture.rank for picture in run.pictures] == list(range(5))
    assert all(tuple(scores.heads) == HEADS for scores in run.scores), "all heads are reported"


async def test_a_tasks_heads_decide_who_is_dropped(bench: Bench) -> None:
    async def survivor(task: Task) -> int:
        dropping = (DroppingRound(1, draft_steps=2),)
        return (await bench.run(request(task, variants=5, top_k=1, dropping=dropping))).best.variant

    assert await survivor(BACKGROUND) != await survivor(dataclasses.replace(BACKGROUND, heads=("aesthetics",)))
