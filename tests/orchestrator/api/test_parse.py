"""Requests to jobs: defaults filled in, and every refusal names its field."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from backdrop.errors import InvalidRequestError, NotFoundError, Reason
from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.api.parse import Parser
from orchestrator.domain import Fit, MaskSource, OutputFormat, Rect, Size
from orchestrator.settings import Settings
from tests.orchestrator.small import tokenizers
from tests.pictures import ellipse_mask, encoded, noisy_photo

PHOTO, MASK = encoded(noisy_photo(80, 60)), encoded(ellipse_mask(80, 60))


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory) -> Parser:
    repository, prompts = tokenizers(tmp_path_factory.mktemp("repository"))
    server = Settings(triton_endpoints="nowhere:1", repository=Path("nowhere"), max_variants=8, max_steps=60)
    return Parser(server, repository, prompts)


def request(**fields: object) -> pb.GenerateRequest:
    return pb.GenerateRequest(**({"product": PHOTO, "mask": MASK} | fields))


def test_a_photo_alone_gets_every_default(parser: Parser) -> None:
    job = parser.parse(pb.GenerateRequest(product=PHOTO), "id")
    assert (job.variants, job.top_k, job.steps, job.scheduler, job.guidance_scale) == (1, 1, 4, "dpmpp_2m", 3.0)
    assert (job.output_size, job.placement, job.output_format) == (None, None, OutputFormat.PNG)
    assert (job.mask, job.mask_source) == (None, MaskSource.SEGMENTER)
    assert 0 <= job.seed < 2**63


def test_alpha_is_the_mask_and_a_mask_replaces_it(parser: Parser) -> None:
    product = encoded(np.dstack([noisy_photo(80, 60), ellipse_mask(80, 60, soft=True)]))
    job = parser.parse(pb.GenerateRequest(product=product), "id")
    assert job.mask_source is MaskSource.ALPHA
    assert job.mask is not None
    assert (job.mask == ellipse_mask(80, 60, soft=True)).all()
    job = parser.parse(request(product=product), "id")
    assert job.mask_source is MaskSource.REQUEST
    assert job.mask is not None
    assert (job.mask == ellipse_mask(80, 60)).all()


def test_placement_is_read_or_defaulted(parser: Parser) -> None:
    assert parser.parse(request(output_size=pb.Size(width=100, height=90)), "id").placement == Fit()
    box = pb.Placement(box=pb.Box(x=1, y=2, width=30, height=40))
    assert parser.parse(request(placement=box), "id").placement == Rect(1, 2, 30, 40)
    fit = pb.Placement(fit=pb.Fit(padding=0.0, horizontal=pb.HORIZONTAL_ALIGNMENT_RIGHT))
    assert parser.parse(request(placement=fit), "id").placement == Fit(0.0, 1.0, 0.5)
    assert parser.parse(request(output_size=pb.Size(width=100, height=90)), "id").output_size == Size(100, 90)


def deep_mask() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((60, 80), np.uint16)).save(buffer, "PNG")
    return buffer.getvalue()


STYLE = pb.StyleImage(image=encoded(noisy_photo(30, 20)))


def styled(*pictures: pb.StyleImage, **fields: object) -> pb.GenerateRequest:
    return request(**({"style_images": pictures, "pipeline": "small-style"} | fields))


def test_style_pictures_are_decoded_and_weighted(parser: Parser) -> None:
    heavy = pb.StyleImage(image=STYLE.image, weight=2.5)
    job = parser.parse(styled(STYLE, heavy), "id")
    assert [picture.weight for picture in job.style] == [1.0, 2.5]
    assert all(picture.pixels.shape == (256, 256, 3) for picture in job.style)
    assert job.image_scale == 0.75  # the pipeline's
    assert parser.parse(styled(STYLE, image_scale=0.5), "id").image_scale == 0.5
    without = parser.parse(styled(image_scale=0.5), "id")
    assert (without.style, without.image_scale) == ((), 0.0)


def test_pipelines_have_their_own_solvers_lengths_and_defaults(parser: Parser) -> None:
    job = parser.parse(request(pipeline="small-flow", prompt="a " * 18), "id")
    assert job.scheduler == "flow_euler"
    assert parser.parse(request(scheduler=pb.SCHEDULER_LCM, steps=50), "id").scheduler == "lcm"


def test_where_style_is_not_taken_the_pipelines_that_take_it_are_named(parser: Parser) -> None:
    for name in ("small", "small-flow"):
        with pytest.raises(InvalidRequestError, match=f"{name} takes no style pictures; .* do: small-style") as caught:
            parser.parse(styled(STYLE, pipeline=name), "id")
        assert (caught.value.reason, caught.value.field) == (Reason.STYLE_NOT_TAKEN, "style_images")


def weighing(weight: float) -> Callable[[], pb.GenerateRequest]:
    return lambda: styled(STYLE, pb.StyleImage(image=STYLE.image, weight=weight))


BAD: dict[str, tuple[Callable[[], pb.GenerateRequest], Reason, str]] = {
    "no product": (lambda: request(product=b""), Reason.INVALID_PICTURE, "product"),
    "mask of another size": (lambda: request(mask=encoded(ellipse_mask(60, 80))), Reason.INVALID_MASK, "mask"),
    "empty mask": (lambda: request(mask=deep_mask()), Reason.INVALID_MASK, "mask"),
    "full mask": (lambda: request(mask=encoded(np.full((60, 80), 255, np.uint8))), Reason.INVALID_MASK, "mask"),
    "prompt too long": (lambda: request(prompt="a " * 11), Reason.PROMPT_TOO_LONG, "prompt"),
    "endless prompt": (lambda: request(prompt="a" * 1_000_000), Reason.PROMPT_TOO_LONG, "prompt"),
    "negative too long": (lambda: request(negative_prompt="a " * 11), Reason.PROMPT_TOO_LONG, "negative_prompt"),
    "NUL": (lambda: request(prompt="a\0b"), Reason.INVALID_PROMPT, "prompt"),
    "tiny size": (lambda: request(output_size=pb.Size(width=63, height=90)), Reason.INVALID_SIZE, "output_size.width"),
    "no height": (lambda: request(output_size=pb.Size(width=90)), Reason.INVALID_SIZE, "output_size.height"),
    "huge size": (lambda: request(output_size=pb.Size(width=4096, height=4000)), Reason.INVALID_SIZE, "output_size"),
    "too many variants": (lambda: request(variants=9), Reason.OUT_OF_RANGE, "variants"),
    "k above n": (lambda: request(variants=2, top_k=3), Reason.OUT_OF_RANGE, "top_k"),
    "steps 0": (lambda: request(steps=0), Reason.OUT_OF_RANGE, "steps"),
    "steps 10^9": (lambda: request(steps=10**9), Reason.OUT_OF_RANGE, "steps"),
    "seed": (lambda: request(seed=2**63), Reason.OUT_OF_RANGE, "seed"),
    "steps beyond the solver": (
        lambda: request(steps=50 + 1, scheduler=pb.SCHEDULER_LCM),
        Reason.OUT_OF_RANGE,
        "steps",
    ),
    "guidance NaN": (lambda: request(guidance_scale=float("nan")), Reason.OUT_OF_RANGE, "guidance_scale"),
    "guidance infinite": (lambda: request(guidance_scale=float("inf")), Reason.OUT_OF_RANGE, "guidance_scale"),
    "guidance 0": (lambda: request(guidance_scale=0.0), Reason.OUT_OF_RANGE, "guidance_scale"),
    "scheduler": (lambda: request(scheduler=99), Reason.UNKNOWN_VALUE, "scheduler"),
    "format": (lambda: request(output_format=99), Reason.UNKNOWN_VALUE, "output_format"),
    "previews": (lambda: request(preview_every=1001), Reason.OUT_OF_RANGE, "preview_every"),
    "key": (lambda: request(idempotency_key="ü"), Reason.OUT_OF_RANGE, "idempotency_key"),
    "padding": (
        lambda: request(placement=pb.Placement(fit=pb.Fit(padding=0.46))),
        Reason.INVALID_PLACEMENT,
        "placement.fit.padding",
    ),
    "alignment": (
        lambda: request(placement=pb.Placement(fit=pb.Fit(vertical=9))),
        Reason.UNKNOWN_VALUE,
        "placement.fit.vertical",
    ),
    "solver of a flow": (lambda: request(scheduler=pb.SCHEDULER_FLOW_EULER), Reason.UNKNOWN_VALUE, "scheduler"),
    "solver of no flow": (
        lambda: request(pipeline="small-flow", scheduler=pb.SCHEDULER_DDIM),
        Reason.UNKNOWN_VALUE,
        "scheduler",
    ),
    "prompt too long for T5": (
        lambda: request(pipeline="small-flow", prompt="a " * 19),
        Reason.PROMPT_TOO_LONG,
        "prompt",
    ),
    "five pictures": (lambda: styled(*[STYLE] * 5), Reason.OUT_OF_RANGE, "style_images"),
    "weight 0": (weighing(0.0), Reason.OUT_OF_RANGE, "style_images[1].weight"),
    "weight 11": (weighing(11.0), Reason.OUT_OF_RANGE, "style_images[1].weight"),
    "weight NaN": (weighing(float("nan")), Reason.OUT_OF_RANGE, "style_images[1].weight"),
    "no picture": (lambda: styled(pb.StyleImage()), Reason.INVALID_PICTURE, "style_images[0].image"),
    "damaged picture": (
        lambda: styled(STYLE, pb.StyleImage(image=STYLE.image[:90])),
        Reason.INVALID_PICTURE,
        "style_images[1].image",
    ),
    "image scale": (lambda: styled(STYLE, image_scale=2.5), Reason.OUT_OF_RANGE, "image_scale"),
    "image scale NaN": (lambda: request(image_scale=float("nan")), Reason.OUT_OF_RANGE, "image_scale"),
    "box outside": (
        lambda: request(placement=pb.Placement(box=pb.Box(x=60, y=0, width=21, height=5))),
        Reason.INVALID_PLACEMENT,
        "placement.box",
    ),
    "box without area": (
        lambda: request(placement=pb.Placement(box=pb.Box(x=1, y=1, width=0, height=5))),
        Reason.INVALID_PLACEMENT,
        "placement.box",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_requests_are_refused_by_field(parser: Parser, name: str) -> None:
    make, reason, field = BAD[name]
    with pytest.raises(InvalidRequestError) as caught:
        parser.parse(make(), "id")
    assert (caught.value.reason, caught.value.field) == (reason, field)
    assert caught.value.message.endswith(".")


def test_an_unknown_pipeline_is_not_found_and_the_known_are_named(parser: Parser) -> None:
    with pytest.raises(NotFoundError, match="small"):
        parser.parse(request(pipeline="large"), "id")


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
    asked = request(
        variants=variants, top_k=top_k, steps=steps, scheduler=scheduler, guidance_scale=guidance, seed=seed,
        output_size=pb.Size(width=width, height=height), placement=pb.Placement(fit=pb.Fit(padding=padding)),
        prompt=prompt.encode("utf-8", "ignore").decode(),
    )  # fmt: skip
    try:
        job = parser.parse(asked, "id")
        sound = 1 <= job.top_k <= job.variants <= 8
    except InvalidRequestError as refused:
        sound = bool(refused.field)
    assert sound
