"""Requests to parts: every default, and every refusal with its field and reason."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from backdrop.contract.geometry import Fit, Rect, Size
from backdrop.contract.parts import Delivery, OutputFormat, Priority, Sampling, Selection, Window
from backdrop.contract.placement import check_box, read_placement
from backdrop.contract.read import check_idempotency_key, read_parts, read_pipeline
from backdrop.contract.rules import TASKS
from backdrop.errors import InvalidRequestError, NotFoundError, Reason
from backdrop.v1 import generation_service_pb2 as pb
from tests.backdrop.contract.info import INFO, count_tokens, read
from tests.messages import generate_request

UNKNOWN: Any = 99
BACKGROUND, WORDS = TASKS["background"], TASKS["text_to_image"]


def request(**fields: Any) -> pb.GenerateRequest:
    return generate_request(**{"product": b"photo", **fields})


def test_nothing_but_the_task_gets_every_default() -> None:
    parts = read(request())
    sampling = parts.sampling
    assert (sampling.pipeline, sampling.scheduler, sampling.steps) == ("plain", "dpmpp_2m", 4)
    assert (sampling.guidance_scale, sampling.guidance_window) == (1.0, Window())
    assert parts.selection == Selection(1, 1, ())
    assert parts.delivery == Delivery(None, OutputFormat.PNG, 0)
    assert (parts.conditioning.prompt, parts.conditioning.negative_prompt) == ("", "")
    assert (parts.conditioning.style, parts.conditioning.image_scale) == ((), 0.0)
    assert parts.priority is Priority.STANDARD


def test_a_seed_is_chosen_anew_each_time_within_the_range() -> None:
    seeds = {read(request()).sampling.seed for _ in range(20)}
    assert len(seeds) == 20
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert read(request(seed=0)).sampling.seed == 0


def test_what_is_set_is_read() -> None:
    parts = read(
        request(
            prompt="a beach", negative_prompt="a city", pipeline="styled", seed=5, steps=20,
            scheduler=pb.SCHEDULER_DDIM, guidance_scale=7.5, guidance_window=pb.GuidanceWindow(start=0.25, stop=0.75),
            variants=6, top_k=2,
            size=pb.Size(width=100, height=90), format=pb.OUTPUT_FORMAT_WEBP, preview_every=7,
            priority=pb.PRIORITY_BULK,
        )
    )  # fmt: skip
    assert (parts.conditioning.prompt, parts.conditioning.negative_prompt) == ("a beach", "a city")
    assert parts.sampling == Sampling("styled", 5, "ddim", 20, 7.5, Window(0.25, 0.75))
    assert parts.selection == Selection(6, 2, ())
    assert parts.delivery == Delivery(Size(100, 90), OutputFormat.WEBP, 7)
    assert parts.priority is Priority.BULK


def test_all_variants_are_returned_unless_told_otherwise() -> None:
    assert read(request(variants=5)).selection == Selection(5, 5, ())


def test_where_nothing_is_scored_nothing_can_be_chosen() -> None:
    assert read(request(pipeline="bare", variants=5)).selection == Selection(5, 5, ())
    assert read(request(pipeline="bare", variants=5, top_k=5)).selection == Selection(5, 5, ())
    for field, fields in (
        ("selection.top_k", {"top_k": 4}),
        ("selection.early_dropping", {"early_dropping": [pb.EarlyDropping(keep=5)]}),
    ):
        with pytest.raises(InvalidRequestError, match=r"bare has no reward model; .* score: plain, styled, words") as e:
            read(request(pipeline="bare", variants=5, **fields))
        assert (e.value.reason, e.value.field) == (Reason.NOT_SCORED, field)


def test_style_has_a_scale_of_its_own_or_the_pipelines() -> None:
    pictures = [pb.StyleImage(image=b"x")]
    styled: dict[str, Any] = {"pipeline": "styled", "style_images": pictures}
    assert read(request(**styled)).conditioning.image_scale == 0.75
    assert read(request(**styled, image_scale=0.5)).conditioning.image_scale == 0.5
    assert read(request(pipeline="styled", image_scale=0.5)).conditioning.image_scale == 0.0, "nothing to scale"
    assert read(request(**styled)).conditioning.style == (), "checked, not decoded"


@pytest.mark.parametrize(
    ("fields", "scale"),
    [
        ({}, 1.0),
        ({"prompt": "a beach"}, 3.0),
        ({"negative_prompt": "a city"}, 3.0),
        ({"style_images": [pb.StyleImage(image=b"x")], "pipeline": "styled"}, 3.0),
        ({"guidance_scale": 2.5}, 2.5),
    ],
)
def test_guidance_is_the_pipelines_where_something_guides(fields: dict[str, Any], scale: float) -> None:
    assert read(request(**fields)).sampling.guidance_scale == scale


@pytest.mark.parametrize("prompt", ["", "a beach"])
@pytest.mark.parametrize(("most", "scale"), [(2.0, 2.0), (9.0, 3.0)])
def test_a_task_that_its_picture_guides_may_have_less(most: float, scale: float, prompt: str) -> None:
    rules = dataclasses.replace(BACKGROUND, picture_guides=True, most_guidance=most)
    parts = read_parts(request(prompt=prompt), rules, INFO.pipelines[0], INFO, count_tokens)
    assert parts.sampling.guidance_scale == scale


def window(start: float, stop: float) -> Callable[[], pb.GenerateRequest]:
    return lambda: request(guidance_window=pb.GuidanceWindow(start=start, stop=stop))


def styled(*weights: float, pipeline: str = "styled", **fields: Any) -> pb.GenerateRequest:
    pictures = [pb.StyleImage(image=b"x", weight=weight) for weight in weights]
    return request(pipeline=pipeline, style_images=pictures, **fields)


NAN, INFINITE = float("nan"), float("inf")
BAD: dict[str, tuple[Callable[[], pb.GenerateRequest], Reason, str]] = {
    "prompt too long": (lambda: request(prompt="a " * 11), Reason.PROMPT_TOO_LONG, "conditioning.prompt"),
    "endless prompt": (lambda: request(prompt="a" * 1_000_000), Reason.PROMPT_TOO_LONG, "conditioning.prompt"),
    "negative prompt": (
        lambda: request(negative_prompt="a " * 11), Reason.PROMPT_TOO_LONG, "conditioning.negative_prompt",
    ),
    "NUL": (lambda: request(prompt="a\0b"), Reason.INVALID_PROMPT, "conditioning.prompt"),
    "width": (lambda: request(size=pb.Size(width=63, height=90)), Reason.INVALID_SIZE, "delivery.size.width"),
    "no height": (lambda: request(size=pb.Size(width=90)), Reason.INVALID_SIZE, "delivery.size.height"),
    "too wide": (lambda: request(size=pb.Size(width=4097, height=90)), Reason.INVALID_SIZE, "delivery.size.width"),
    "too many pixels": (
        lambda: request(size=pb.Size(width=4096, height=4000)), Reason.INVALID_SIZE, "delivery.size",
    ),
    "format": (lambda: request(format=UNKNOWN), Reason.UNKNOWN_VALUE, "delivery.format"),
    "previews": (lambda: request(preview_every=1001), Reason.OUT_OF_RANGE, "delivery.preview_every"),
    "variants": (lambda: request(variants=9), Reason.OUT_OF_RANGE, "selection.variants"),
    "top_k": (lambda: request(variants=2, top_k=3), Reason.OUT_OF_RANGE, "selection.top_k"),
    "steps 0": (lambda: request(steps=0), Reason.OUT_OF_RANGE, "sampling.steps"),
    "steps 61": (lambda: request(steps=61), Reason.OUT_OF_RANGE, "sampling.steps"),
    "LCM": (lambda: request(steps=51, scheduler=pb.SCHEDULER_LCM), Reason.OUT_OF_RANGE, "sampling.steps"),
    "seed": (lambda: request(seed=2**63), Reason.OUT_OF_RANGE, "sampling.seed"),
    "scheduler": (lambda: request(scheduler=UNKNOWN), Reason.UNKNOWN_VALUE, "sampling.scheduler"),
    "a flow's scheduler": (
        lambda: request(scheduler=pb.SCHEDULER_FLOW_EULER), Reason.UNKNOWN_VALUE, "sampling.scheduler",
    ),
    "guidance 0": (lambda: request(guidance_scale=0.0), Reason.OUT_OF_RANGE, "sampling.guidance_scale"),
    "guidance 21": (lambda: request(guidance_scale=21.0), Reason.OUT_OF_RANGE, "sampling.guidance_scale"),
    "guidance NaN": (lambda: request(guidance_scale=NAN), Reason.OUT_OF_RANGE, "sampling.guidance_scale"),
    "guidance infinite": (lambda: request(guidance_scale=INFINITE), Reason.OUT_OF_RANGE, "sampling.guidance_scale"),
    "window from 1": (window(1.0, 1.0), Reason.OUT_OF_RANGE, "sampling.guidance_window.start"),
    "window from NaN": (window(NAN, 1.0), Reason.OUT_OF_RANGE, "sampling.guidance_window.start"),
    "window of nothing": (window(0.5, 0.5), Reason.OUT_OF_RANGE, "sampling.guidance_window.stop"),
    "window beyond 1": (window(0.5, 1.5), Reason.OUT_OF_RANGE, "sampling.guidance_window.stop"),
    "window to NaN": (window(0.0, NAN), Reason.OUT_OF_RANGE, "sampling.guidance_window.stop"),
    "priority": (lambda: request(priority=UNKNOWN), Reason.UNKNOWN_VALUE, "priority"),
    "five pictures": (lambda: styled(*[1.0] * 5), Reason.OUT_OF_RANGE, "conditioning.style_images"),
    "pictures on a pipeline without style": (
        lambda: styled(1.0, pipeline="plain"), Reason.STYLE_NOT_TAKEN, "conditioning.style_images",
    ),
    "weight 0": (lambda: styled(1.0, 0.0), Reason.OUT_OF_RANGE, "conditioning.style_images[1].weight"),
    "weight 11": (lambda: styled(11.0), Reason.OUT_OF_RANGE, "conditioning.style_images[0].weight"),
    "weight NaN": (lambda: styled(1.0, NAN), Reason.OUT_OF_RANGE, "conditioning.style_images[1].weight"),
    "image scale": (lambda: styled(1.0, image_scale=2.5), Reason.OUT_OF_RANGE, "conditioning.image_scale"),
    "image scale NaN": (lambda: request(image_scale=NAN), Reason.OUT_OF_RANGE, "conditioning.image_scale"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_fields_are_refused_by_their_path(name: str) -> None:
    make, reason, field = BAD[name]
    with pytest.raises(InvalidRequestError) as caught:
        read(make())
    assert (caught.value.reason, caught.value.field) == (reason, field)
    assert caught.value.message.endswith(".")


@pytest.mark.parametrize(
    "fields",
    [
        {"steps": 50, "scheduler": pb.SCHEDULER_LCM}, {"guidance_scale": 1.0}, {"guidance_scale": 20.0},
        {"prompt": "a " * 10}, {"seed": 2**63 - 1}, {"variants": 8, "top_k": 8}, {"preview_every": 1000},
        {"size": pb.Size(width=64, height=4096)}, {"guidance_window": pb.GuidanceWindow(stop=1.0)},
    ],
)  # fmt: skip
def test_the_ends_of_the_ranges_belong_to_them(fields: dict[str, Any]) -> None:
    read(request(**fields))


def test_an_unknown_pipeline_is_not_found_and_the_known_are_named() -> None:
    with pytest.raises(NotFoundError, match="this server has bare, plain, styled, words") as caught:
        read_pipeline(request(pipeline="large"), BACKGROUND, INFO)
    assert (caught.value.reason, caught.value.field) == (Reason.UNKNOWN_PIPELINE, "sampling.pipeline")


def test_a_pipeline_that_does_not_serve_the_task_names_those_that_do() -> None:
    with pytest.raises(
        InvalidRequestError, match=r"words does not serve background; .* do: bare, plain, styled"
    ) as caught:
        read_pipeline(request(pipeline="words"), BACKGROUND, INFO)
    assert (caught.value.reason, caught.value.field) == (Reason.TASK_NOT_SERVED, "background")
    assert read_pipeline(request(pipeline="words"), WORDS, INFO).name == "words"
    assert read_pipeline(request(), WORDS, INFO).name == "plain", "the default"


@pytest.mark.parametrize("key", ["", "k", "a key of words", "~" * 128])
def test_printable_keys_pass(key: str) -> None:
    check_idempotency_key(key)


@pytest.mark.parametrize("key", ["ü", "a\n", "\x7f", "~" * 129])
def test_other_keys_are_refused(key: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        check_idempotency_key(key)
    assert (caught.value.reason, caught.value.field) == (Reason.OUT_OF_RANGE, "idempotency_key")


FIELD = "background.placement"


def placed(placement: pb.Placement, size: Size | None = None, is_set: bool = True) -> Fit | Rect | None:
    return read_placement(FIELD, placement, size=size, is_set=is_set)


def test_placement_is_read_or_defaulted() -> None:
    assert placed(pb.Placement(), is_set=False) is None
    assert placed(pb.Placement(), Size(100, 90), is_set=False) == Fit()
    assert placed(pb.Placement()) == Fit()
    assert placed(pb.Placement(box=pb.Box(x=1, y=2, width=30, height=40))) == Rect(1, 2, 30, 40)
    fit = pb.Fit(padding=0.0, horizontal=pb.HORIZONTAL_ALIGNMENT_LEFT, vertical=pb.VERTICAL_ALIGNMENT_BOTTOM)
    assert placed(pb.Placement(fit=fit)) == Fit(0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("fit", "reason", "field"),
    [
        (pb.Fit(padding=0.46), Reason.INVALID_PLACEMENT, "padding"),
        (pb.Fit(padding=-0.1), Reason.INVALID_PLACEMENT, "padding"),
        (pb.Fit(padding=NAN), Reason.INVALID_PLACEMENT, "padding"),
        (pb.Fit(horizontal=UNKNOWN), Reason.UNKNOWN_VALUE, "horizontal"),
        (pb.Fit(vertical=UNKNOWN), Reason.UNKNOWN_VALUE, "vertical"),
    ],
)
def test_a_bad_fit_is_refused(fit: pb.Fit, reason: Reason, field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        placed(pb.Placement(fit=fit))
    assert (caught.value.reason, caught.value.field) == (reason, f"{FIELD}.fit.{field}")


@pytest.mark.parametrize("box", [Rect(60, 0, 21, 5), Rect(0, 56, 5, 5), Rect(1, 1, 0, 5), Rect(1, 1, 5, 0)])
def test_a_box_outside_the_picture_is_refused(box: Rect) -> None:
    with pytest.raises(InvalidRequestError, match="80×60") as caught:
        check_box(FIELD, box, Size(80, 60))
    assert (caught.value.reason, caught.value.field) == (Reason.INVALID_PLACEMENT, f"{FIELD}.box")


@pytest.mark.parametrize("placement", [None, Fit(), Rect(0, 0, 80, 60), Rect(79, 59, 1, 1)])
def test_every_other_placement_passes(placement: Fit | Rect | None) -> None:
    check_box(FIELD, placement, Size(80, 60))
