"""Events to messages: each event has its message, and what the contract names has the same values here."""

from __future__ import annotations

import dataclasses

import pytest

from backdrop.contract.canvas import Kept, MaskSource
from backdrop.contract.geometry import Rect, Size
from backdrop.contract.parts import Adapter, DroppingRound, OutputFormat, Priority, Window
from backdrop.contract.receipts import Receipt
from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.api.convert import response
from orchestrator.cache.lookups import CacheReport
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
from orchestrator.tasks.text_to_image import TEXT_TO_IMAGE
from tests.orchestrator.small import pipeline_spec, request, style

SCORES = Scores({"defects": 0.25, "aesthetics": 0.75}, ("aesthetics",))
PROOF = Receipt(3, 1234, 2000, "sha256:ab", True, Kept(Rect(1, 2, 30, 40), False, MaskSource.ALPHA))
PICTURE = Picture(b"png", "image/png", Size(80, 60), 1, 2, 99, SCORES, PROOF)
END = Finished(2, {Stage.ENCODE: 0.5, Stage.DENOISE: 1.25}, CacheReport(1, 2, 3))


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (Accepted(3, 1.5), "accepted"),
        (StageStarted(Stage.SELECT), "stage"),
        (StepDone(1, 2, 4, b"jpeg", draft=True), "step"),
        (VariantFinished(1, 99, SCORES), "variant_finished"),
        (VariantDropped(1, 99, SCORES), "variant_dropped"),
        (PICTURE, "picture"),
        (END, "summary"),
    ],
)
def test_each_event_has_its_message(event: Event, kind: str) -> None:
    assert response(event, request()).WhichOneof("event") == kind


def test_stages_and_sources_are_the_contracts() -> None:
    assert {f"STAGE_{stage.name}": int(stage) for stage in Stage} == {k: v for k, v in pb.Stage.items() if v}
    for stage in Stage:
        assert response(StageStarted(stage), request()).stage.stage == int(stage)


def test_accepted_says_what_the_request_costs() -> None:
    accepted = response(Accepted(3, 1.5), request(steps=10)).accepted
    assert (accepted.request_id, accepted.queue_position, accepted.row_steps) == ("0" * 32, 3, 40)
    assert accepted.expected_start.ToTimedelta().total_seconds() == 1.5


def test_a_step_keeps_its_preview() -> None:
    step = response(StepDone(1, 2, 4, b"jpeg", draft=True), request()).step
    assert (step.variant, step.step, step.steps, step.preview, step.draft) == (1, 2, 4, b"jpeg", True)


@pytest.mark.parametrize("event", [VariantFinished(1, 2**63 - 1, SCORES), VariantDropped(1, 2**63 - 1, SCORES)])
def test_variants_carry_seed_and_scores(event: VariantFinished | VariantDropped) -> None:
    message = response(event, request())
    variant = message.variant_finished if isinstance(event, VariantFinished) else message.variant_dropped
    assert (variant.variant, variant.seed) == (1, 2**63 - 1)
    assert variant.scores.total == 0.75, "the mean of the heads that count"
    assert dict(variant.scores.heads) == {"defects": 0.25, "aesthetics": 0.75}


def test_a_picture_carries_its_receipt() -> None:
    picture = response(PICTURE, request()).picture
    assert (picture.data, picture.media_type, picture.width, picture.height) == (b"png", "image/png", 80, 60)
    assert (picture.rank, picture.variant, picture.seed) == (1, 2, 99)
    receipt = picture.receipt
    assert (receipt.max_difference, receipt.compared_pixels, receipt.mask_digest) == (3, 1234, "sha256:ab")
    assert (receipt.known_pixels, receipt.exact) == (2000, False)
    assert receipt.compared_fraction == pytest.approx(0.617)
    assert receipt.compositing == pb.COMPOSITING_MODE_SOFT
    assert receipt.mask_source == pb.MASK_SOURCE_ALPHA
    assert receipt.known_box == pb.Box(x=1, y=2, width=30, height=40)
    assert not receipt.unscaled


def test_a_hard_mask_is_said_to_be_hard() -> None:
    proof = dataclasses.replace(PROOF, soft=False, kept=Kept(Rect(0, 0, 1, 1), True, MaskSource.SEGMENTER))
    receipt = response(dataclasses.replace(PICTURE, receipt=proof), request()).picture.receipt
    assert receipt.compositing == pb.COMPOSITING_MODE_HARD
    assert receipt.mask_source == pb.MASK_SOURCE_SEGMENTER
    assert receipt.unscaled


def test_without_a_receipt_the_field_is_absent() -> None:
    assert not response(dataclasses.replace(PICTURE, receipt=None), request()).picture.HasField("receipt")


def test_the_summary_has_every_setting() -> None:
    request_ = request(
        pipeline="small-style", style=style((9, 9, 9)), image_scale=0.5, size=Size(100, 75), steps=10, variants=4,
        top_k=1, dropping=(DroppingRound(3, draft_steps=2), DroppingRound(2, 0.5)), guidance_window=Window(0.0, 0.5),
        format=OutputFormat.WEBP, preview_every=3, priority=Priority.BULK, adapters=(Adapter("wet", 0.5),),
    )  # fmt: skip
    summary = response(END, request_).summary
    settings = summary.settings
    assert (settings.task, settings.image_scale, settings.priority) == ("background", 0.5, pb.PRIORITY_BULK)
    sampling = settings.sampling
    assert (sampling.pipeline, sampling.seed, sampling.scheduler) == ("small-style", 7, pb.SCHEDULER_DPMPP_2M)
    assert (sampling.steps, sampling.guidance_scale, sampling.guidance_window.stop) == (10, 3.0, 0.5)
    first, second = settings.selection.early_dropping
    assert (settings.selection.variants, settings.selection.top_k) == (4, 1)
    assert (first.keep, first.draft_steps, first.HasField("after")) == (3, 2, False)
    assert (second.keep, second.after, second.HasField("draft_steps")) == (2, 0.5, False)
    assert settings.delivery == pb.Delivery(
        size=pb.Size(width=100, height=75), format=pb.OUTPUT_FORMAT_WEBP, preview_every=3
    )
    assert settings.scene_size == pb.Size(width=64, height=48)
    assert list(settings.adapters) == [pb.Adapter(name="wet", weight=0.5)]


def test_the_summary_counts_what_it_cost() -> None:
    summary = response(END, request(steps=10)).summary
    assert (summary.pictures, summary.request_id, summary.replayed) == (2, "0" * 32, False)
    assert (summary.usage.row_steps, summary.usage.saved_row_steps) == (40, 0)
    assert summary.usage.row_step_megapixels == pytest.approx(40 * 64 * 64 / 1e6)
    assert summary.model_fingerprints["denoiser"] == "sha256:denoiser"
    assert not any("adapter" in name for name in summary.model_fingerprints)
    assert summary.cache == pb.CacheReport(memory_hits=1, redis_hits=2, misses=3)
    durations = {timing.stage: timing.duration.ToTimedelta().total_seconds() for timing in summary.timings}
    assert durations == {pb.STAGE_ENCODE: 0.5, pb.STAGE_DENOISE: 1.25}


def test_without_guidance_the_summary_has_no_window() -> None:
    off = response(END, request(guidance_scale=1.0, guidance_window=Window(0.0, 0.5))).summary.settings.sampling
    whole = response(END, request(guidance_window=Window(0.0, 1.0))).summary.settings.sampling
    assert not off.HasField("guidance_window")
    assert not whole.HasField("guidance_window")


def test_a_picture_from_words_has_the_size_that_it_got() -> None:
    settings = response(END, request(TEXT_TO_IMAGE)).summary.settings
    assert settings.task == "text_to_image"
    assert settings.delivery.size == settings.scene_size == pb.Size(width=64, height=64)


def test_the_summary_has_the_digests_of_the_adapters_that_were_used_those_of_the_task_included() -> None:
    spec = dataclasses.replace(pipeline_spec("small-style"), task_adapters={"text_to_image": {"warm": 1.0}})
    summary = response(END, request(TEXT_TO_IMAGE, spec, adapters=(Adapter("wet", 0.5),))).summary
    digests = {name: value for name, value in summary.model_fingerprints.items() if name.startswith("adapter:")}
    assert digests == {"adapter:warm": "sha256:warm", "adapter:wet": "sha256:wet"}
