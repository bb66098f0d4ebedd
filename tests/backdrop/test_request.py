"""Python values to requests: what is sent, and what is refused before anything is."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from backdrop import (
    Adapter,
    Background,
    Box,
    EarlyDropping,
    Fit,
    InvalidRequestError,
    OutputFormat,
    Product,
    Reason,
    Scheduler,
    StyleImage,
    TextToImage,
)
from backdrop._describe import options_of
from backdrop._options import Options
from backdrop._request import build_request
from backdrop.v1 import generation_service_pb2 as pb
from tests.pictures import ellipse_mask, encoded, noisy_photo

PHOTO = noisy_photo(20, 10)
PNG = encoded(PHOTO)


def request_of(product: Any = PNG, **arguments: Any) -> pb.GenerateRequest:
    """The request for a background; arguments of the task are told from options by their names."""
    task = {name: arguments.pop(name) for name in ("mask", "placement", "more_products") if name in arguments}
    return build_request(Background(product, **task), arguments)


def decoded(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_only_the_product_is_needed() -> None:
    assert request_of() == pb.GenerateRequest(background=pb.BackgroundTask(product=PNG))


def test_a_task_without_fields_is_named_too() -> None:
    request = build_request(TextToImage(), {})
    assert request.WhichOneof("task") == "text_to_image"
    assert request == pb.GenerateRequest(text_to_image=pb.TextToImageTask())


def test_everything_is_sent() -> None:
    request = request_of(
        PNG,
        mask=PNG,
        prompt="on a beach",
        negative_prompt="people",
        output_size=(640, 480),
        placement=Fit(0.2, "left", "bottom"),
        variants=4,
        top_k=2,
        seed=2**63 - 1,
        steps=12,
        scheduler="euler",
        guidance_scale=3.5,
        output_format=OutputFormat.WEBP,
        idempotency_key="k",
        preview_every=3,
        pipeline="p",
        style_images=[PNG, StyleImage(PNG, 2.5)],
        image_scale=0.5,
        adapters=["pencil", Adapter("aurelia", 0.75)],
        priority="bulk",
        guidance_window=(0.25, 0.75),
        early_dropping=[EarlyDropping(3, draft_steps=6), EarlyDropping(2, 0.75)],
    )
    fit = pb.Fit(padding=0.2, horizontal=pb.HORIZONTAL_ALIGNMENT_LEFT, vertical=pb.VERTICAL_ALIGNMENT_BOTTOM)
    assert request == pb.GenerateRequest(
        background=pb.BackgroundTask(product=PNG, mask=PNG, placement=pb.Placement(fit=fit)),
        conditioning=pb.Conditioning(
            prompt="on a beach",
            negative_prompt="people",
            style_images=[pb.StyleImage(image=PNG), pb.StyleImage(image=PNG, weight=2.5)],
            image_scale=0.5,
            adapters=[pb.Adapter(name="pencil", weight=1.0), pb.Adapter(name="aurelia", weight=0.75)],
        ),
        sampling=pb.Sampling(
            pipeline="p",
            seed=2**63 - 1,
            scheduler=pb.SCHEDULER_EULER,
            steps=12,
            guidance_scale=3.5,
            guidance_window=pb.GuidanceWindow(start=0.25, stop=0.75),
        ),
        selection=pb.Selection(
            variants=4,
            top_k=2,
            early_dropping=[pb.EarlyDropping(keep=3, draft_steps=6), pb.EarlyDropping(keep=2, after=0.75)],
        ),
        delivery=pb.Delivery(size=pb.Size(width=640, height=480), format=pb.OUTPUT_FORMAT_WEBP, preview_every=3),
        idempotency_key="k",
        priority=pb.PRIORITY_BULK,
    )


@pytest.mark.parametrize("product", [PNG, "mug.png", None, PHOTO])
def test_the_first_argument_must_be_a_task(product: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"backdrop\.Background\(") as caught:
        build_request(product, {"mask": PNG})
    assert (caught.value.reason, caught.value.field) == (Reason.MISSING_FIELD, "task")


@pytest.mark.parametrize(
    ("name", "hint"),
    [("promt", "did you mean 'prompt'"), ("mask", r"Background\(…, mask=…\)"), ("xyzzy", "'xyzzy'$")],
)
def test_a_keyword_that_is_no_option_is_a_type_error(name: str, hint: str) -> None:
    with pytest.raises(TypeError, match=hint):
        build_request(Background(PNG), {name: PNG})


def test_none_is_not_set_where_it_is_a_value() -> None:
    nothing = {name: None for name, option in options_of(Options).items() if option.optional}
    assert {"seed", "steps", "output_size", "timeout_s"} <= set(nothing)
    assert request_of(**nothing) == request_of()


@pytest.mark.parametrize("value", [(0, 0)])
def test_messages_of_zeros_are_sent(value: Any) -> None:
    request = request_of(guidance_window=value, output_size=value)
    assert request.sampling.HasField("guidance_window")
    assert request.delivery.HasField("size")


def test_explicit_zeros_are_sent() -> None:
    request = request_of(PNG, seed=0, steps=0, guidance_scale=0, image_scale=0, placement=Fit(padding=0.0))
    assert request.sampling.HasField("seed")
    assert request.sampling.HasField("steps")
    assert request.sampling.HasField("guidance_scale")
    assert request.conditioning.HasField("image_scale")
    styled = request_of(PNG, style_images=[StyleImage(PNG, 0)])
    assert styled.conditioning.style_images[0].HasField("weight")
    assert request.background.placement.fit.HasField("padding")
    assert not request_of(PNG, placement=Fit()).background.placement.fit.HasField("padding")


def test_a_box_is_sent() -> None:
    assert request_of(PNG, placement=Box(1, 2, 3, 4)).background.placement.box == pb.Box(x=1, y=2, width=3, height=4)


@pytest.mark.parametrize("scheduler", [member for member in Scheduler if member is not Scheduler.UNKNOWN])
def test_schedulers_by_word_and_member(scheduler: Scheduler) -> None:
    assert request_of(PNG, scheduler=scheduler) == request_of(PNG, scheduler=str(scheduler))
    assert pb.Scheduler.Name(request_of(PNG, scheduler=scheduler).sampling.scheduler) == f"SCHEDULER_{scheduler.name}"


def test_files_and_bytes_go_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"anything: the server judges it")
    for source in (path, str(path), path.read_bytes(), bytearray(path.read_bytes()), memoryview(path.read_bytes())):
        assert request_of(source).background.product == path.read_bytes()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_images_go_as_lossless_png(mode: str) -> None:
    image = Image.fromarray(PHOTO).convert(mode)
    sent = decoded(request_of(image).background.product)
    assert sent.format == "PNG"
    assert np.array_equal(np.asarray(sent.convert("RGBA")), np.asarray(image.convert("RGBA")))


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV"])
def test_images_that_png_cannot_hold_go_as_rgb(mode: str) -> None:
    image = Image.fromarray(PHOTO).convert(mode)
    sent = decoded(request_of(image).background.product)
    assert np.array_equal(np.asarray(sent), np.asarray(image.convert("RGB")))


def test_the_orientation_of_an_opened_photo_is_kept() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(PHOTO).save(buffer, "PNG", exif=exif)
    sent = decoded(request_of(decoded(buffer.getvalue())).background.product)
    assert np.array_equal(np.asarray(sent), np.rot90(PHOTO, -1))


@pytest.mark.parametrize("shape", [(10, 20), (10, 20, 3), (10, 20, 4)])
def test_arrays_go_as_lossless_png(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert np.array_equal(np.asarray(decoded(request_of(array).background.product)), array)


def test_a_mask_may_be_an_array() -> None:
    mask = ellipse_mask(20, 10)
    assert np.array_equal(np.asarray(decoded(request_of(PNG, mask=mask).background.mask)), mask)


def test_adapters_are_names_with_weights_or_a_list() -> None:
    forms: list[Any] = [{"a": 0.5, "b": 1}, [Adapter("a", 0.5), "b"], (Adapter("a", 0.5), Adapter("b"))]
    for adapters in forms:
        sent = request_of(PNG, adapters=adapters).conditioning.adapters
        assert list(sent) == [pb.Adapter(name="a", weight=0.5), pb.Adapter(name="b", weight=1.0)]


def test_style_pictures_come_in_every_form_that_the_photo_may_have(tmp_path: Path) -> None:
    path = tmp_path / "style.png"
    path.write_bytes(PNG)
    forms: list[Any] = [PNG, path, str(path), PHOTO, Image.fromarray(PHOTO)]
    for form in (*forms, *(StyleImage(form) for form in forms)):
        for pictures in ([form], (form,)):
            (sent,) = request_of(PNG, style_images=pictures).conditioning.style_images
            assert np.array_equal(np.asarray(decoded(sent.image)), PHOTO)


def test_numpy_numbers_are_numbers() -> None:
    request = request_of(PNG, variants=np.int64(3), seed=np.uint64(2**63 - 1), guidance_scale=np.float32(2.5))
    sampling = request.sampling
    assert (request.selection.variants, sampling.seed, sampling.guidance_scale) == (3, 2**63 - 1, 2.5)


UNSENDABLE: list[tuple[dict[str, Any], str, Reason]] = [
    ({"product": 5}, "background.product", Reason.INVALID_PICTURE),
    ({"product": None}, "background.product", Reason.INVALID_PICTURE),
    ({"product": "/no/such/file.png"}, "background.product", Reason.INVALID_PICTURE),
    ({"product": Path("/")}, "background.product", Reason.INVALID_PICTURE),
    ({"product": "a\0b"}, "background.product", Reason.INVALID_PICTURE),
    ({"product": np.zeros((4, 4), np.float32)}, "background.product", Reason.INVALID_PICTURE),
    ({"product": np.zeros((4, 4, 2), np.uint8)}, "background.product", Reason.INVALID_PICTURE),
    ({"product": np.zeros((0, 4, 3), np.uint8)}, "background.product", Reason.INVALID_PICTURE),
    ({"mask": 5}, "background.mask", Reason.INVALID_PICTURE),
    ({"prompt": b"bytes"}, "conditioning.prompt", Reason.OUT_OF_RANGE),
    ({"prompt": "half \ud83d"}, "conditioning.prompt", Reason.INVALID_PROMPT),
    ({"negative_prompt": "half \ud83d"}, "conditioning.negative_prompt", Reason.INVALID_PROMPT),
    ({"idempotency_key": "half \ud83d"}, "idempotency_key", Reason.INVALID_MESSAGE),
    ({"output_size": (640,)}, "delivery.size", Reason.OUT_OF_RANGE),
    ({"output_size": 640}, "delivery.size", Reason.OUT_OF_RANGE),
    ({"output_size": (640, -1)}, "delivery.size.height", Reason.OUT_OF_RANGE),
    ({"output_size": (640.5, 480)}, "delivery.size.width", Reason.OUT_OF_RANGE),
    ({"placement": "left"}, "background.placement", Reason.OUT_OF_RANGE),
    ({"placement": Fit(padding=cast(Any, "wide"))}, "background.placement.fit.padding", Reason.OUT_OF_RANGE),
    ({"placement": Fit(horizontal="middle")}, "background.placement.fit.horizontal", Reason.UNKNOWN_VALUE),
    ({"placement": Fit(vertical="left")}, "background.placement.fit.vertical", Reason.UNKNOWN_VALUE),
    ({"placement": Box(0, 0, -1, 5)}, "background.placement.box.width", Reason.OUT_OF_RANGE),
    ({"variants": -1}, "selection.variants", Reason.OUT_OF_RANGE),
    ({"variants": 1.5}, "selection.variants", Reason.OUT_OF_RANGE),
    ({"variants": True}, "selection.variants", Reason.OUT_OF_RANGE),
    ({"top_k": 2**32}, "selection.top_k", Reason.OUT_OF_RANGE),
    ({"seed": -1}, "sampling.seed", Reason.OUT_OF_RANGE),
    ({"seed": 2**64}, "sampling.seed", Reason.OUT_OF_RANGE),
    ({"steps": "20"}, "sampling.steps", Reason.OUT_OF_RANGE),
    ({"guidance_scale": "5"}, "sampling.guidance_scale", Reason.OUT_OF_RANGE),
    ({"guidance_scale": 1e300}, "sampling.guidance_scale", Reason.OUT_OF_RANGE),
    ({"scheduler": "karras"}, "sampling.scheduler", Reason.UNKNOWN_VALUE),
    ({"scheduler": "unknown"}, "sampling.scheduler", Reason.UNKNOWN_VALUE),
    ({"output_format": "bmp"}, "delivery.format", Reason.UNKNOWN_VALUE),
    ({"style_images": "style.png"}, "conditioning.style_images", Reason.INVALID_PICTURE),
    ({"style_images": PNG}, "conditioning.style_images", Reason.INVALID_PICTURE),
    ({"style_images": PHOTO}, "conditioning.style_images", Reason.INVALID_PICTURE),
    ({"style_images": None}, "conditioning.style_images", Reason.INVALID_PICTURE),
    ({"style_images": StyleImage(PNG)}, "conditioning.style_images", Reason.INVALID_PICTURE),
    ({"style_images": [PNG, 5]}, "conditioning.style_images[1].image", Reason.INVALID_PICTURE),
    ({"style_images": [PNG, "/no/such/file.png"]}, "conditioning.style_images[1].image", Reason.INVALID_PICTURE),
    ({"style_images": [StyleImage("/no/such/file.png")]}, "conditioning.style_images[0].image", Reason.INVALID_PICTURE),
    ({"style_images": [StyleImage(PNG, cast(Any, "2"))]}, "conditioning.style_images[0].weight", Reason.OUT_OF_RANGE),
    ({"style_images": [StyleImage(PNG, 1e300)]}, "conditioning.style_images[0].weight", Reason.OUT_OF_RANGE),
    ({"image_scale": "1"}, "conditioning.image_scale", Reason.OUT_OF_RANGE),
    ({"adapters": "aurelia"}, "conditioning.adapters", Reason.OUT_OF_RANGE),
    ({"adapters": Adapter("aurelia")}, "conditioning.adapters", Reason.OUT_OF_RANGE),
    ({"adapters": None}, "conditioning.adapters", Reason.OUT_OF_RANGE),
    ({"adapters": ["aurelia", ("pencil", 0.5)]}, "conditioning.adapters[1]", Reason.OUT_OF_RANGE),
    ({"adapters": {"aurelia": "0.5"}}, "conditioning.adapters[0].weight", Reason.OUT_OF_RANGE),
    ({"adapters": {"aurelia": 1e300}}, "conditioning.adapters[0].weight", Reason.OUT_OF_RANGE),
    ({"adapters": {5: 1.0}}, "conditioning.adapters[0].name", Reason.OUT_OF_RANGE),
    ({"guidance_window": 0.5}, "sampling.guidance_window", Reason.OUT_OF_RANGE),
    ({"guidance_window": (0.0, "1")}, "sampling.guidance_window.stop", Reason.OUT_OF_RANGE),
    ({"early_dropping": 3}, "selection.early_dropping", Reason.OUT_OF_RANGE),
    ({"early_dropping": [EarlyDropping(-1)]}, "selection.early_dropping[0].keep", Reason.OUT_OF_RANGE),
    ({"priority": "urgent"}, "priority", Reason.UNKNOWN_VALUE),
    ({"prompt": None}, "conditioning.prompt", Reason.OUT_OF_RANGE),
    ({"preview_every": -1}, "delivery.preview_every", Reason.OUT_OF_RANGE),
]


@pytest.mark.parametrize(("arguments", "field", "reason"), UNSENDABLE, ids=lambda part: str(part)[:40])
def test_what_cannot_be_sent_is_refused_here(arguments: dict[str, Any], field: str, reason: Reason) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        request_of(**{"product": PNG, **arguments})
    assert caught.value.field == field
    assert caught.value.reason is reason
    assert caught.value.message.endswith(".")


@pytest.mark.parametrize(
    "arguments",
    [
        {"guidance_scale": float("nan")},
        {"steps": 0},
        {"variants": 10**9},
        {"output_size": (1, 1)},
        {"style_images": [StyleImage(b"no picture", -1.0)] * 9},
        {"image_scale": float("nan")},
    ],
)
def test_the_rest_is_left_to_the_server(arguments: dict[str, Any]) -> None:
    assert request_of(PNG, **arguments)


def test_the_help_of_the_solver_lists_every_choice() -> None:
    text = options_of(Options)["scheduler"].help
    assert all(member in text for member in Scheduler if member is not Scheduler.UNKNOWN)


def test_further_products_carry_masks_and_places() -> None:
    placed = Product(PNG, PNG, Box(1, 2, 3, 4))
    request = request_of(PNG, more_products=[placed, Product(PNG)])
    first, second = request.background.more_products
    assert (first.product, first.mask, first.placement.box.width) == (PNG, PNG, 3)
    assert (second.product, second.mask, second.HasField("placement")) == (PNG, b"", False)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        (Product(PNG), "background.more_products"),
        ([PNG], "background.more_products"),
        ([Product(PNG, None, cast(Any, 7))], "background.more_products[0].placement"),
        ([Product(cast(Any, 7))], "background.more_products[0].product"),
    ],
)
def test_what_is_no_product_is_refused(more: Any, field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        request_of(PNG, more_products=more)
    assert caught.value.field == field
