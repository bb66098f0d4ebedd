"""Python values to requests: what is sent, and what is refused before anything is."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backdrop import Box, EarlyDropping, Fit, InvalidRequestError, OutputFormat, Reason, Scheduler, StyleImage
from backdrop._request import build_request
from backdrop.v1 import generation_service_pb2 as pb
from tests.pictures import ellipse_mask, encoded, noisy_photo

PHOTO = noisy_photo(20, 10)
PNG = encoded(PHOTO)


def decoded(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_only_the_product_is_needed() -> None:
    request = build_request(PNG)
    assert request.product == PNG
    for field in ("output_size", "placement", "seed", "steps", "guidance_scale", "image_scale"):
        assert not request.HasField(field)
    assert not request.style_images
    assert request.scheduler == pb.SCHEDULER_UNSPECIFIED
    assert (request.mask, request.idempotency_key, request.pipeline) == (b"", "", "")


def test_everything_is_sent() -> None:
    request = build_request(
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
        priority="bulk",
        guidance_window=(0.25, 0.75),
        early_dropping=[EarlyDropping(3, draft_steps=6), EarlyDropping(2, 0.75)],
    )
    fit = pb.Fit(padding=0.2, horizontal=pb.HORIZONTAL_ALIGNMENT_LEFT, vertical=pb.VERTICAL_ALIGNMENT_BOTTOM)
    assert request == pb.GenerateRequest(
        product=PNG,
        mask=PNG,
        prompt="on a beach",
        negative_prompt="people",
        output_size=pb.Size(width=640, height=480),
        placement=pb.Placement(fit=fit),
        variants=4,
        top_k=2,
        seed=2**63 - 1,
        steps=12,
        scheduler=pb.SCHEDULER_EULER,
        guidance_scale=3.5,
        output_format=pb.OUTPUT_FORMAT_WEBP,
        idempotency_key="k",
        preview_every=3,
        pipeline="p",
        style_images=[pb.StyleImage(image=PNG), pb.StyleImage(image=PNG, weight=2.5)],
        image_scale=0.5,
        priority=pb.PRIORITY_BULK,
        guidance_window=pb.GuidanceWindow(start=0.25, stop=0.75),
        early_dropping=[pb.EarlyDropping(keep=3, draft_steps=6), pb.EarlyDropping(keep=2, after=0.75)],
    )


def test_explicit_zeros_are_sent() -> None:
    request = build_request(PNG, seed=0, steps=0, guidance_scale=0, image_scale=0, placement=Fit(padding=0.0))
    assert request.HasField("seed")
    assert request.HasField("steps")
    assert request.HasField("guidance_scale")
    assert request.HasField("image_scale")
    assert build_request(PNG, style_images=[StyleImage(PNG, 0)]).style_images[0].HasField("weight")
    assert request.placement.fit.HasField("padding")
    assert not build_request(PNG, placement=Fit()).placement.fit.HasField("padding")


def test_a_box_is_sent() -> None:
    assert build_request(PNG, placement=Box(1, 2, 3, 4)).placement.box == pb.Box(x=1, y=2, width=3, height=4)


@pytest.mark.parametrize("scheduler", [member for member in Scheduler if member is not Scheduler.UNKNOWN])
def test_schedulers_by_word_and_member(scheduler: Scheduler) -> None:
    assert build_request(PNG, scheduler=scheduler) == build_request(PNG, scheduler=str(scheduler))
    assert pb.Scheduler.Name(build_request(PNG, scheduler=scheduler).scheduler) == f"SCHEDULER_{scheduler.name}"


def test_files_and_bytes_go_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"anything: the server judges it")
    for source in (path, str(path), path.read_bytes(), bytearray(path.read_bytes()), memoryview(path.read_bytes())):
        assert build_request(source).product == path.read_bytes()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_images_go_as_lossless_png(mode: str) -> None:
    image = Image.fromarray(PHOTO).convert(mode)
    sent = decoded(build_request(image).product)
    assert sent.format == "PNG"
    assert np.array_equal(np.asarray(sent.convert("RGBA")), np.asarray(image.convert("RGBA")))


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV"])
def test_images_that_png_cannot_hold_go_as_rgb(mode: str) -> None:
    image = Image.fromarray(PHOTO).convert(mode)
    sent = decoded(build_request(image).product)
    assert np.array_equal(np.asarray(sent), np.asarray(image.convert("RGB")))


def test_the_orientation_of_an_opened_photo_is_kept() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(PHOTO).save(buffer, "PNG", exif=exif)
    sent = decoded(build_request(decoded(buffer.getvalue())).product)
    assert np.array_equal(np.asarray(sent), np.rot90(PHOTO, -1))


@pytest.mark.parametrize("shape", [(10, 20), (10, 20, 3), (10, 20, 4)])
def test_arrays_go_as_lossless_png(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert np.array_equal(np.asarray(decoded(build_request(array).product)), array)


def test_a_mask_may_be_an_array() -> None:
    mask = ellipse_mask(20, 10)
    assert np.array_equal(np.asarray(decoded(build_request(PNG, mask=mask).mask)), mask)


def test_style_pictures_come_in_every_form_that_the_photo_may_have(tmp_path: Path) -> None:
    path = tmp_path / "style.png"
    path.write_bytes(PNG)
    forms = [PNG, path, str(path), PHOTO, Image.fromarray(PHOTO)]
    for form in (*forms, *(StyleImage(form) for form in forms)):
        for pictures in ([form], (form,)):
            (sent,) = build_request(PNG, style_images=pictures).style_images
            assert np.array_equal(np.asarray(decoded(sent.image)), PHOTO)


def test_numpy_numbers_are_numbers() -> None:
    request = build_request(PNG, variants=np.int64(3), seed=np.uint64(2**63 - 1), guidance_scale=np.float32(2.5))
    assert (request.variants, request.seed, request.guidance_scale) == (3, 2**63 - 1, 2.5)


UNSENDABLE: list[tuple[dict[str, Any], str, Reason]] = [
    ({"product": 5}, "product", Reason.INVALID_PICTURE),
    ({"product": None}, "product", Reason.INVALID_PICTURE),
    ({"product": "/no/such/file.png"}, "product", Reason.INVALID_PICTURE),
    ({"product": Path("/")}, "product", Reason.INVALID_PICTURE),
    ({"product": "a\0b"}, "product", Reason.INVALID_PICTURE),
    ({"product": np.zeros((4, 4), np.float32)}, "product", Reason.INVALID_PICTURE),
    ({"product": np.zeros((4, 4, 2), np.uint8)}, "product", Reason.INVALID_PICTURE),
    ({"product": np.zeros((0, 4, 3), np.uint8)}, "product", Reason.INVALID_PICTURE),
    ({"mask": 5}, "mask", Reason.INVALID_PICTURE),
    ({"prompt": b"bytes"}, "prompt", Reason.OUT_OF_RANGE),
    ({"prompt": "half \ud83d"}, "prompt", Reason.INVALID_PROMPT),
    ({"negative_prompt": "half \ud83d"}, "negative_prompt", Reason.INVALID_PROMPT),
    ({"idempotency_key": "half \ud83d"}, "idempotency_key", Reason.INVALID_MESSAGE),
    ({"output_size": (640,)}, "output_size", Reason.OUT_OF_RANGE),
    ({"output_size": 640}, "output_size", Reason.OUT_OF_RANGE),
    ({"output_size": (640, -1)}, "output_size.height", Reason.OUT_OF_RANGE),
    ({"output_size": (640.5, 480)}, "output_size.width", Reason.OUT_OF_RANGE),
    ({"placement": "left"}, "placement", Reason.OUT_OF_RANGE),
    ({"placement": Fit(padding="wide")}, "placement.fit.padding", Reason.OUT_OF_RANGE),
    ({"placement": Fit(horizontal="middle")}, "placement.fit.horizontal", Reason.UNKNOWN_VALUE),
    ({"placement": Fit(vertical="left")}, "placement.fit.vertical", Reason.UNKNOWN_VALUE),
    ({"placement": Box(0, 0, -1, 5)}, "placement.box.width", Reason.OUT_OF_RANGE),
    ({"variants": -1}, "variants", Reason.OUT_OF_RANGE),
    ({"variants": 1.5}, "variants", Reason.OUT_OF_RANGE),
    ({"variants": True}, "variants", Reason.OUT_OF_RANGE),
    ({"top_k": 2**32}, "top_k", Reason.OUT_OF_RANGE),
    ({"seed": -1}, "seed", Reason.OUT_OF_RANGE),
    ({"seed": 2**64}, "seed", Reason.OUT_OF_RANGE),
    ({"steps": "20"}, "steps", Reason.OUT_OF_RANGE),
    ({"guidance_scale": "5"}, "guidance_scale", Reason.OUT_OF_RANGE),
    ({"guidance_scale": 1e300}, "guidance_scale", Reason.OUT_OF_RANGE),
    ({"scheduler": "karras"}, "scheduler", Reason.UNKNOWN_VALUE),
    ({"scheduler": "unknown"}, "scheduler", Reason.UNKNOWN_VALUE),
    ({"output_format": "bmp"}, "output_format", Reason.UNKNOWN_VALUE),
    ({"style_images": "style.png"}, "style_images", Reason.INVALID_PICTURE),
    ({"style_images": PNG}, "style_images", Reason.INVALID_PICTURE),
    ({"style_images": PHOTO}, "style_images", Reason.INVALID_PICTURE),
    ({"style_images": None}, "style_images", Reason.INVALID_PICTURE),
    ({"style_images": StyleImage(PNG)}, "style_images", Reason.INVALID_PICTURE),
    ({"style_images": [PNG, 5]}, "style_images[1].image", Reason.INVALID_PICTURE),
    ({"style_images": [PNG, "/no/such/file.png"]}, "style_images[1].image", Reason.INVALID_PICTURE),
    ({"style_images": [StyleImage("/no/such/file.png")]}, "style_images[0].image", Reason.INVALID_PICTURE),
    ({"style_images": [StyleImage(PNG, "2")]}, "style_images[0].weight", Reason.OUT_OF_RANGE),
    ({"style_images": [StyleImage(PNG, 1e300)]}, "style_images[0].weight", Reason.OUT_OF_RANGE),
    ({"image_scale": "1"}, "image_scale", Reason.OUT_OF_RANGE),
    ({"preview_every": -1}, "preview_every", Reason.OUT_OF_RANGE),
]


@pytest.mark.parametrize(("arguments", "field", "reason"), UNSENDABLE, ids=lambda part: str(part)[:40])
def test_what_cannot_be_sent_is_refused_here(arguments: dict[str, Any], field: str, reason: Reason) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        build_request(**{"product": PNG, **arguments})
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
    assert build_request(PNG, **arguments)
