"""Messages to requests: defaults filled in, and every refusal names its field by its path."""

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from backdrop.contract.canvas import MaskSource
from backdrop.contract.geometry import Fit, Rect, Size
from backdrop.contract.parts import Adapter, OutputFormat
from backdrop.errors import InvalidRequestError, NotFoundError, Reason
from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import info_service_pb2 as info_pb
from orchestrator.api.info import describe_server
from orchestrator.api.parse import Parser
from orchestrator.imaging.clip_square import clip_square
from orchestrator.repository.conventions import ClipPicture, Conventions
from orchestrator.request import Request
from orchestrator.tasks.background import BACKGROUND, Arrangement
from orchestrator.tasks.text_to_image import TEXT_TO_IMAGE
from tests.messages import generate_request
from tests.orchestrator.small import server_settings, tokenizers
from tests.pictures import ellipse_mask, encoded, noisy_photo

PHOTO, MASK = encoded(noisy_photo(80, 60)), encoded(ellipse_mask(80, 60))


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory) -> Parser:
    repository, prompts = tokenizers(tmp_path_factory.mktemp("repository"))
    server = server_settings(repository.path, max_variants=8, max_steps=60)
    return Parser(describe_server(server, repository), repository, prompts)


def request(**fields: Any) -> pb.GenerateRequest:
    return generate_request(**({"product": PHOTO, "mask": MASK} | fields))


def words(**fields: Any) -> pb.GenerateRequest:
    return generate_request("text_to_image", **({"prompt": "a beach"} | fields))


def parse(parser: Parser, message: pb.GenerateRequest) -> Request:
    """The request with its pictures decoded."""
    parsed = parser.parse(message, "id")
    parts = dataclasses.replace(parsed.parts, conditioning=parsed.read_conditioning())
    return dataclasses.replace(parsed, input=parsed.read_input(), parts=parts, sent=None)


def test_a_photo_alone_gets_every_default(parser: Parser) -> None:
    parsed = parse(parser, generate_request(product=PHOTO))
    sampling, selection, delivery = parsed.parts.sampling, parsed.parts.selection, parsed.parts.delivery
    assert (selection.variants, selection.top_k) == (1, 1)
    assert (sampling.steps, sampling.scheduler, sampling.guidance_scale) == (4, "dpmpp_2m", 1.0)
    assert (delivery.size, parsed.input.options, delivery.format) == (None, Arrangement((None,)), OutputFormat.PNG)
    assert (parsed.input.mask, parsed.input.mask_source) == (None, MaskSource.SEGMENTER)
    assert 0 <= sampling.seed < 2**63
    assert (parsed.request_id, parsed.task, parsed.pipeline.name) == ("id", BACKGROUND, "small")
    assert (parsed.input.size, parsed.tiling.scene) == (Size(80, 60), Size(64, 48))


def test_words_alone_get_every_default(parser: Parser) -> None:
    parsed = parse(parser, words())
    assert parsed.task is TEXT_TO_IMAGE
    assert parsed.parts.conditioning.prompt == "a beach"
    assert (parsed.input.picture, parsed.input.mask, parsed.input.options) == (None, None, None)
    assert parsed.input.size == parsed.tiling.scene == Size(64, 64), "the first bucket"
    assert parse(parser, words(size=pb.Size(width=100, height=80))).input.size == Size(100, 80)


def test_style_pictures_alone_say_what_to_make_too(parser: Parser) -> None:
    parsed = parse(parser, words(prompt="", pipeline="small-style", style_images=[STYLE]))
    assert len(parsed.parts.conditioning.style) == 1


def test_alpha_is_the_mask_and_a_mask_replaces_it(parser: Parser) -> None:
    product = encoded(np.dstack([noisy_photo(80, 60), ellipse_mask(80, 60, soft=True)]))
    task_input = parse(parser, generate_request(product=product)).input
    assert task_input.mask_source is MaskSource.ALPHA
    assert task_input.mask is not None
    assert (task_input.mask == ellipse_mask(80, 60, soft=True)).all()
    task_input = parse(parser, request(product=product)).input
    assert task_input.mask_source is MaskSource.REQUEST
    assert task_input.mask is not None
    assert (task_input.mask == ellipse_mask(80, 60)).all()


def test_placement_is_read_or_defaulted(parser: Parser) -> None:
    sized = parse(parser, request(size=pb.Size(width=100, height=90)))
    assert (sized.input.options, sized.parts.delivery.size, sized.input.size) == (
        Arrangement((Fit(),)),
        *[Size(100, 90)] * 2,
    )
    box = pb.Placement(box=pb.Box(x=1, y=2, width=30, height=40))
    assert parse(parser, request(placement=box)).input.options == Arrangement((Rect(1, 2, 30, 40),))
    fit = pb.Placement(fit=pb.Fit(padding=0.0, horizontal=pb.HORIZONTAL_ALIGNMENT_RIGHT))
    assert parse(parser, request(placement=fit)).input.options == Arrangement((Fit(0.0, 1.0, 0.5),))


def deep_mask() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((60, 80), np.uint16)).save(buffer, "PNG")
    return buffer.getvalue()


STYLE = pb.StyleImage(image=encoded(noisy_photo(30, 20)))


def styled(*pictures: pb.StyleImage, **fields: Any) -> pb.GenerateRequest:
    return request(**({"style_images": pictures, "pipeline": "small-style"} | fields))


def test_style_pictures_are_decoded_and_weighted(parser: Parser) -> None:
    heavy = pb.StyleImage(image=STYLE.image, weight=2.5)
    conditioning = parse(parser, styled(STYLE, heavy)).parts.conditioning
    assert [picture.weight for picture in conditioning.style] == [1.0, 2.5]
    assert all(picture.pixels.shape == (256, 256, 3) for picture in conditioning.style)
    assert conditioning.image_scale == 0.75  # the pipeline's
    assert parse(parser, styled(STYLE, image_scale=0.5)).parts.conditioning.image_scale == 0.5
    without = parse(parser, styled(image_scale=0.5)).parts.conditioning
    assert (without.style, without.image_scale) == ((), 0.0)


def test_pipelines_have_their_own_solvers_lengths_and_defaults(parser: Parser) -> None:
    parsed = parse(parser, request(pipeline="small-flow", prompt="a " * 18))
    assert parsed.parts.sampling.scheduler == "flow_euler"
    lcm = parse(parser, request(scheduler=pb.SCHEDULER_LCM, steps=50))
    assert lcm.parts.sampling.scheduler == "lcm"


def test_where_style_is_not_taken_the_pipelines_that_take_it_are_named(parser: Parser) -> None:
    for name in ("small", "small-flow"):
        with pytest.raises(InvalidRequestError, match=f"{name} takes no style pictures; .* do: small-style") as caught:
            parse(parser, styled(STYLE, pipeline=name))
        assert (caught.value.reason, caught.value.field) == (Reason.STYLE_NOT_TAKEN, "conditioning.style_images")


def test_without_a_reward_model_what_chooses_is_refused_by_name(parser: Parser) -> None:
    bare: dict[str, Any] = {"pipeline": "small-bare", "variants": 3, "steps": 4}
    dropping = [pb.EarlyDropping(keep=3, draft_steps=2)]
    for field, fields in (("top_k", {"top_k": 2}), ("early_dropping", {"early_dropping": dropping})):
        with pytest.raises(
            InvalidRequestError, match=r"has no reward model; leave it out\. .* score: small, "
        ) as caught:
            parse(parser, request(**bare, **fields))
        assert (caught.value.reason, caught.value.field) == (Reason.NOT_SCORED, f"selection.{field}")
    assert parse(parser, request(**bare, top_k=3)).parts.selection.top_k == 3
    assert parse(parser, request(**bare)).parts.selection.top_k == 3


def test_without_a_segmenter_a_mask_must_be_sent(parser: Parser) -> None:
    with pytest.raises(InvalidRequestError, match=r"small-bare has no segmenter; send background\.mask, or") as caught:
        parse(parser, generate_request(product=PHOTO, pipeline="small-bare"))
    assert (caught.value.reason, caught.value.field) == (Reason.MISSING_FIELD, "background.mask")
    cut_out = encoded(np.dstack([noisy_photo(80, 60), ellipse_mask(80, 60)]))
    parsed = parse(parser, generate_request(product=cut_out, pipeline="small-bare"))
    assert parsed.input.mask_source is MaskSource.ALPHA
    assert parse(parser, request(pipeline="small-bare")).input.mask_source is MaskSource.REQUEST


def test_where_a_task_is_not_served_the_pipelines_that_serve_it_are_named(parser: Parser) -> None:
    info = info_pb.GetInfoResponse()
    info.CopyFrom(parser.info)
    (described,) = (each for each in info.pipelines if each.name == "small-text")
    described.tasks[:] = ["text_to_image"]
    partial = dataclasses.replace(parser, info=info)
    with pytest.raises(InvalidRequestError, match=r"small-text does not serve background; .* do: small, ") as caught:
        parse(partial, request(pipeline="small-text"))
    assert (caught.value.reason, caught.value.field) == (Reason.TASK_NOT_SERVED, "background")
    assert parse(partial, words(pipeline="small-text")).pipeline.name == "small-text"


def test_style_pictures_are_preprocessed_by_the_pipelines_convention(parser: Parser) -> None:
    spec = parser.repository.pipelines["small-style"]
    spec = dataclasses.replace(spec, conventions=Conventions(image_preprocess=ClipPicture(resize=40, crop=32)))
    repository = dataclasses.replace(parser.repository, pipelines={**parser.repository.pipelines, spec.name: spec})
    (picture,) = parse(dataclasses.replace(parser, repository=repository), styled(STYLE)).parts.conditioning.style
    assert np.array_equal(picture.pixels, clip_square(noisy_photo(30, 20), 40, 32))


UNKNOWN: Any = 99


def weighing(weight: float) -> Callable[[], pb.GenerateRequest]:
    return lambda: styled(STYLE, pb.StyleImage(image=STYLE.image, weight=weight))


BAD: dict[str, tuple[Callable[[], pb.GenerateRequest], Reason, str]] = {
    "no product": (lambda: request(product=b""), Reason.MISSING_FIELD, "background.product"),
    "mask of another size": (
        lambda: request(mask=encoded(ellipse_mask(60, 80))),
        Reason.INVALID_MASK,
        "background.mask",
    ),
    "empty mask": (lambda: request(mask=deep_mask()), Reason.INVALID_MASK, "background.mask"),
    "full mask": (
        lambda: request(mask=encoded(np.full((60, 80), 255, np.uint8))),
        Reason.INVALID_MASK,
        "background.mask",
    ),
    "prompt too long": (lambda: request(prompt="a " * 11), Reason.PROMPT_TOO_LONG, "conditioning.prompt"),
    "endless prompt": (lambda: request(prompt="a" * 1_000_000), Reason.PROMPT_TOO_LONG, "conditioning.prompt"),
    "negative too long": (
        lambda: request(negative_prompt="a " * 11),
        Reason.PROMPT_TOO_LONG,
        "conditioning.negative_prompt",
    ),
    "NUL": (lambda: request(prompt="a\0b"), Reason.INVALID_PROMPT, "conditioning.prompt"),
    "tiny size": (lambda: request(size=pb.Size(width=63, height=90)), Reason.INVALID_SIZE, "delivery.size.width"),
    "no height": (lambda: request(size=pb.Size(width=90)), Reason.INVALID_SIZE, "delivery.size.height"),
    "huge size": (lambda: request(size=pb.Size(width=4096, height=4000)), Reason.INVALID_SIZE, "delivery.size"),
    "too many variants": (lambda: request(variants=9), Reason.OUT_OF_RANGE, "selection.variants"),
    "k above n": (lambda: request(variants=2, top_k=3), Reason.OUT_OF_RANGE, "selection.top_k"),
    "steps 0": (lambda: request(steps=0), Reason.OUT_OF_RANGE, "sampling.steps"),
    "steps 10^9": (lambda: request(steps=10**9), Reason.OUT_OF_RANGE, "sampling.steps"),
    "seed": (lambda: request(seed=2**63), Reason.OUT_OF_RANGE, "sampling.seed"),
    "steps beyond the solver": (
        lambda: request(steps=50 + 1, scheduler=pb.SCHEDULER_LCM),
        Reason.OUT_OF_RANGE,
        "sampling.steps",
    ),
    "guidance NaN": (lambda: request(guidance_scale=float("nan")), Reason.OUT_OF_RANGE, "sampling.guidance_scale"),
    "guidance infinite": (lambda: request(guidance_scale=float("inf")), Reason.OUT_OF_RANGE, "sampling.guidance_scale"),
    "guidance 0": (lambda: request(guidance_scale=0.0), Reason.OUT_OF_RANGE, "sampling.guidance_scale"),
    "scheduler": (lambda: request(scheduler=99), Reason.UNKNOWN_VALUE, "sampling.scheduler"),
    "format": (lambda: request(format=99), Reason.UNKNOWN_VALUE, "delivery.format"),
    "previews": (lambda: request(preview_every=1001), Reason.OUT_OF_RANGE, "delivery.preview_every"),
    "key": (lambda: request(idempotency_key="ü"), Reason.OUT_OF_RANGE, "idempotency_key"),
    "padding": (
        lambda: request(placement=pb.Placement(fit=pb.Fit(padding=0.46))),
        Reason.INVALID_PLACEMENT,
        "background.placement.fit.padding",
    ),
    "alignment": (
        lambda: request(placement=pb.Placement(fit=pb.Fit(vertical=UNKNOWN))),
        Reason.UNKNOWN_VALUE,
        "background.placement.fit.vertical",
    ),
    "solver of a flow": (
        lambda: request(scheduler=pb.SCHEDULER_FLOW_EULER),
        Reason.UNKNOWN_VALUE,
        "sampling.scheduler",
    ),
    "solver of no flow": (
        lambda: request(pipeline="small-flow", scheduler=pb.SCHEDULER_DDIM),
        Reason.UNKNOWN_VALUE,
        "sampling.scheduler",
    ),
    "prompt too long for T5": (
        lambda: request(pipeline="small-flow", prompt="a " * 19),
        Reason.PROMPT_TOO_LONG,
        "conditioning.prompt",
    ),
    "five pictures": (lambda: styled(*[STYLE] * 5), Reason.OUT_OF_RANGE, "conditioning.style_images"),
    "weight 0": (weighing(0.0), Reason.OUT_OF_RANGE, "conditioning.style_images[1].weight"),
    "weight 11": (weighing(11.0), Reason.OUT_OF_RANGE, "conditioning.style_images[1].weight"),
    "weight NaN": (weighing(float("nan")), Reason.OUT_OF_RANGE, "conditioning.style_images[1].weight"),
    "no picture": (lambda: styled(pb.StyleImage()), Reason.INVALID_PICTURE, "conditioning.style_images[0].image"),
    "damaged picture": (
        lambda: styled(STYLE, pb.StyleImage(image=STYLE.image[:90])),
        Reason.INVALID_PICTURE,
        "conditioning.style_images[1].image",
    ),
    "image scale": (lambda: styled(STYLE, image_scale=2.5), Reason.OUT_OF_RANGE, "conditioning.image_scale"),
    "image scale NaN": (lambda: request(image_scale=float("nan")), Reason.OUT_OF_RANGE, "conditioning.image_scale"),
    "box outside": (
        lambda: request(placement=pb.Placement(box=pb.Box(x=60, y=0, width=21, height=5))),
        Reason.INVALID_PLACEMENT,
        "background.placement.box",
    ),
    "box without area": (
        lambda: request(placement=pb.Placement(box=pb.Box(x=1, y=1, width=0, height=5))),
        Reason.INVALID_PLACEMENT,
        "background.placement.box",
    ),
    "no task": (lambda: pb.GenerateRequest(), Reason.MISSING_FIELD, "task"),
    "no words": (lambda: words(prompt=""), Reason.MISSING_FIELD, "conditioning.prompt"),
    "no photo": (lambda: request(product=b"no photo"), Reason.INVALID_PICTURE, "background.product"),
    "box outside the requested size": (
        lambda: request(
            size=pb.Size(width=64, height=64), placement=pb.Placement(box=pb.Box(x=0, y=0, width=65, height=5))
        ),
        Reason.INVALID_PLACEMENT,
        "background.placement.box",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_requests_are_refused_by_field(parser: Parser, name: str) -> None:
    make, reason, field = BAD[name]
    with pytest.raises(InvalidRequestError) as caught:
        parse(parser, make())
    assert (caught.value.reason, caught.value.field) == (reason, field)
    assert caught.value.message.endswith(".")


def test_adapters_are_read_and_counted_with_those_of_the_task(tmp_path: Path) -> None:
    plain, prompts = tokenizers(tmp_path)

    def parser_with(own: dict[str, dict[str, float]]) -> Parser:
        style = dataclasses.replace(plain.pipelines["small-style"], task_adapters=own)
        repository = dataclasses.replace(plain, pipelines={**plain.pipelines, "small-style": style})
        return Parser(describe_server(server_settings(repository.path), repository), repository, prompts)

    parser = parser_with({"erase": {"warm": 1.0}})
    messages = [pb.Adapter(name="wet", weight=0.5), pb.Adapter(name="cold")]
    message = words(pipeline="small-style", adapters=messages)
    parsed = parse(parser, message)
    assert parsed.parts.conditioning.adapters == (Adapter("cold"), Adapter("wet", 0.5))
    assert parsed.fingerprints["adapter:wet"] == "sha256:wet"
    assert parsed.adapters == {"wet": 0.5, "cold": 1.0}
    parser = parser_with({"text_to_image": {"wet": 0.25}})
    assert parse(parser, message).adapters == {"wet": 0.5, "cold": 1.0}
    parser = parser_with({"text_to_image": {"warm": 0.75}})
    with pytest.raises(InvalidRequestError, match="has adapters of its own; it leaves room for 1") as told:
        parse(parser, message)
    assert (told.value.reason, told.value.field) == (Reason.OUT_OF_RANGE, "conditioning.adapters")
    assert parse(parser, words(pipeline="small-style")).adapters == {"warm": 0.75}


def test_an_unknown_pipeline_is_not_found_and_the_known_are_named(parser: Parser) -> None:
    every = "this server has small, small-bare, small-flow, small-large, small-style, small-text"
    with pytest.raises(NotFoundError, match=every) as caught:
        parse(parser, request(pipeline="large"))
    assert caught.value.field == "sampling.pipeline"


numbers = st.integers(0, 2**32 - 1)


@settings(max_examples=200, deadline=None)
@given(
    variants=numbers, top_k=numbers, steps=numbers, scheduler=st.integers(0, 9), guidance=st.floats(width=32),
    width=numbers, height=numbers, padding=st.floats(width=32), prompt=st.text(max_size=40),
    seed=st.integers(0, 2**64 - 1),
)  # fmt: skip
def test_any_numbers_are_read_or_refused(
    parser: Parser, variants: int, top_k: int, steps: int, scheduler: int, guidance: float, width: int, height: int,
    padding: float, prompt: str, seed: int,
) -> None:  # fmt: skip
    message = request(
        variants=variants, top_k=top_k, steps=steps, scheduler=scheduler, guidance_scale=guidance, seed=seed,
        size=pb.Size(width=width, height=height), placement=pb.Placement(fit=pb.Fit(padding=padding)),
        prompt=prompt.encode("utf-8", "ignore").decode(),
    )  # fmt: skip
    try:
        selection = parse(parser, message).parts.selection
        sound = 1 <= selection.top_k <= selection.variants <= 8
    except InvalidRequestError as refused:
        sound = bool(refused.field)
    assert sound
