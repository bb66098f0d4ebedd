"""The pipeline over plain functions: order of events, determinism, caches, and what costs rows."""

import asyncio
import dataclasses
import io
import threading

import numpy as np
import pytest
from PIL import Image

from backdrop.contract.canvas import MaskSource
from backdrop.contract.finishing import encode
from backdrop.contract.geometry import Size
from backdrop.contract.parts import DroppingRound, OutputFormat, Window
from backdrop.contract.seeds import variant_seed
from orchestrator.arrays import Bytes
from orchestrator.events import (
    Accepted,
    Finished,
    Picture,
    Stage,
    StageStarted,
    StepDone,
    VariantDropped,
    VariantFinished,
)
from orchestrator.stages import select
from tests.orchestrator.pipeline.bench import Bench
from tests.orchestrator.small import (
    model_spec,
    pipeline_spec,
    request,
    style,
)
from tests.pictures import ellipse_mask, noisy_photo


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
