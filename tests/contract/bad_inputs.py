"""Every kind of bad input that docs and contract name, with the status and the field that must come back.

`bad_inputs()` is a function because some inputs are megabytes; `MALFORMED` are bytes that are no GenerateRequest.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import grpc
import numpy as np
from google.protobuf.message import Message
from PIL import Image

from backdrop.v1 import generation_service_pb2 as pb
from tests.contract.photos import HARD_MASK, HEIGHT, MASK, PRODUCT, WIDTH, rgba, saved
from tests.pictures import encoded

INVALID, MISSING = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND


class BadInput(NamedTuple):
    """A request that must be refused before anything is computed."""

    name: str
    request: pb.GenerateRequest
    code: grpc.StatusCode
    field: str
    """The field that the error names, or the message that holds it."""


GENERATE = "/backdrop.v1.GenerationService/Generate"


def stream(channel: grpc.aio.Channel, message: bytes, method: str = GENERATE) -> Any:
    """Calls the method with bytes that no client of ours has checked; yields bytes."""
    call: Any = channel.unary_stream(method, None, None)
    return call(message, timeout=60)


MALFORMED: dict[str, bytes] = {
    "random_bytes": bytes(range(255, 155, -1)),
    "cut_off": pb.GenerateRequest(background=pb.BackgroundTask(product=PRODUCT)).SerializeToString()[:-10],
    "endless_varint": b"\x38" + b"\xff" * 11,
    "text_that_is_no_utf8": b"\x82\x01\x04\x0a\x02\xff\xfe",  # conditioning.prompt
    "group_without_end": b"\x0b",
    "field_number_zero": b"\x00\x00",
}


def valid_request(changes: Mapping[str, Any] | None = None) -> pb.GenerateRequest:
    """A valid request of one row, with other values at these paths; None takes a field out."""
    request = pb.GenerateRequest(
        background=pb.BackgroundTask(product=PRODUCT, mask=MASK), sampling=pb.Sampling(steps=1, guidance_scale=1.0)
    )
    for path, value in (changes or {}).items():
        *parents, field = path.split(".")
        message: Message = request
        for parent in parents:
            message = getattr(message, parent)
        message.ClearField(field)
        if isinstance(value, Message):
            getattr(message, field).CopyFrom(value)
        elif isinstance(value, list):
            getattr(message, field).extend(value)
        elif value is not None:
            setattr(message, field, value)
    return request


def bad_inputs() -> list[BadInput]:
    """Returns the table."""
    return [*_bad_tasks(), *_bad_products(), *_bad_masks(), *_bad_numbers(), *_bad_words(), *_bad_geometry()]


def _bad_tasks() -> Iterator[BadInput]:
    yield BadInput("no_task", valid_request({"background": None}), INVALID, "task")
    yield BadInput("nothing_at_all", pb.GenerateRequest(), INVALID, "task")
    words = pb.TextToImageTask()
    yield BadInput("text_to_image_of_nothing", valid_request({"text_to_image": words}), INVALID, "conditioning.prompt")


def _bad_products() -> Iterator[BadInput]:
    smooth = Image.linear_gradient("L").resize((WIDTH * 2, HEIGHT * 2)).convert("RGB")
    frames = [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("red", "blue")]
    products = {
        "no_product": b"",
        "random_bytes": np.random.default_rng(1).bytes(1000),
        "one_byte": b"\x89",
        "text": b"a mug on a beach",
        "half_a_png": PRODUCT[: len(PRODUCT) // 2],
        "half_a_jpeg": _half(saved(smooth, "JPEG")),
        "half_a_webp": _half(saved(smooth, "WEBP")),
        "png_header_alone": PRODUCT[:33],
        "corrupt_png_stream": _corrupt(saved(smooth, "PNG")),
        "png_of_no_pixels": _png(0, 0),
        "png_that_claims_50000_squared": _png(50_000, 50_000),
        "png_of_17_megapixels": _png(4200, 4100),
        "png_wider_than_8192": _png(8193, 1),
        "over_16_mib": PRODUCT + bytes(16 * 2**20),
        "animated_png": saved(frames[0], "PNG", save_all=True, append_images=frames[1:]),
        "animated_webp": saved(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
        "tiff": saved(smooth, "TIFF"),
        "gif": saved(smooth, "GIF"),
        "bmp": saved(smooth, "BMP"),
        "eps": saved(smooth, "EPS"),
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"/>',
    }
    without_mask = {"background.mask": None}
    for name, product in products.items():
        yield BadInput(
            f"product_{name}",
            valid_request({**without_mask, "background.product": product}),
            INVALID,
            "background.product",
        )
    nothing = rgba(np.full((HEIGHT, WIDTH, 3), 90, np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8))
    yield BadInput(
        "product_all_transparent",
        valid_request({**without_mask, "background.product": nothing}),
        INVALID,
        "background.product",
    )


def _bad_masks() -> Iterator[BadInput]:
    frames = [Image.new("L", (WIDTH, HEIGHT), grey) for grey in (0, 255)]
    masks = {
        "random_bytes": np.random.default_rng(2).bytes(1000),
        "half_a_png": _half(MASK),
        "gif": saved(frames[1], "GIF"),
        "animation": saved(frames[0], "PNG", save_all=True, append_images=frames[1:]),
        "of_another_size": encoded(HARD_MASK[:, :-1]),
        "turned": encoded(np.ascontiguousarray(HARD_MASK.T)),
        "that_claims_50000_squared": _png(50_000, 50_000),
        "empty": encoded(np.zeros_like(HARD_MASK)),
        "full": encoded(np.full_like(HARD_MASK, 255)),
        "of_zero_and_one": encoded(HARD_MASK // np.uint8(255)),
        "of_three_classes": encoded(HARD_MASK // np.uint8(85)),
        "without_certain_pixels": encoded(HARD_MASK // np.uint8(255) * np.uint8(200)),
        "of_colours": encoded(np.dstack([HARD_MASK, np.zeros_like(HARD_MASK), np.zeros_like(HARD_MASK)])),
        "transparent_and_white": rgba(np.full((HEIGHT, WIDTH, 3), 255, np.uint8), HARD_MASK),
    }
    for name, mask in masks.items():
        yield BadInput(f"mask_{name}", valid_request({"background.mask": mask}), INVALID, "background.mask")


def _bad_numbers() -> Iterator[BadInput]:
    values: dict[str, list[Any]] = {
        "selection.variants": [10_000, 2**32 - 1],
        "sampling.steps": [0, 10**9, 2**32 - 1],  # the last is what −1 becomes on the wire
        "sampling.guidance_scale": [float("nan"), float("inf"), float("-inf"), 0.0, 0.5, 20.5, -1.0, 3e38],
        "conditioning.image_scale": [float("nan"), float("inf"), float("-inf"), -0.1, 2.1, 3e38],
        "sampling.seed": [2**63, 2**64 - 1],
        "delivery.preview_every": [1001, 2**32 - 1],
        "sampling.scheduler": [99, -1],
        "delivery.format": [99, -1],
        "priority": [99, -1],
    }
    for field, bad in values.items():
        for value in bad:
            yield BadInput(f"{field}_{value}", valid_request({field: value}), INVALID, field)
    for name, start, stop, side in (
        ("empty", 0.5, 0.5, "stop"),
        ("turned", 0.7, 0.2, "stop"),
        ("beyond", 0.0, 1.5, "stop"),
        ("that_never_begins", 1.0, 1.0, "start"),
        ("of_nan", float("nan"), 0.5, "start"),
        ("without_end", 0.0, float("inf"), "stop"),
    ):
        window = pb.GuidanceWindow(start=start, stop=stop)
        path = "sampling.guidance_window"
        yield BadInput(f"guidance_window_{name}", valid_request({path: window}), INVALID, f"{path}.{side}")
    first, late = pb.EarlyDropping(keep=3, after=0.5), 0.6
    for name, rounds, field in (
        ("keeps_fewer_than_top_k", [pb.EarlyDropping(keep=1)], "[0].keep"),
        ("keeps_more_than_variants", [pb.EarlyDropping(keep=5)], "[0].keep"),
        ("before_the_first_step", [pb.EarlyDropping(keep=2, after=0.0)], "[0].after"),
        ("after_the_last_step", [pb.EarlyDropping(keep=2, after=1.0)], "[0].after"),
        ("after_nan", [pb.EarlyDropping(keep=2, after=float("nan"))], "[0].after"),
        ("keeps_as_many_again", [first, pb.EarlyDropping(keep=3, after=late)], "[1].keep"),
        ("keeps_fewer_than_top_k_later", [first, pb.EarlyDropping(keep=1, after=late)], "[1].keep"),
        ("is_no_later", [first, pb.EarlyDropping(keep=2, after=0.5)], "[1].after"),
        ("by_default_is_no_later", [first, pb.EarlyDropping(keep=2)], "[1].after"),
        ("has_too_many_rounds", [first] * 9, ""),
        ("drafts_nothing", [pb.EarlyDropping(keep=2, draft_steps=0)], "[0].draft_steps"),
        ("drafts_in_all_steps", [pb.EarlyDropping(keep=2, draft_steps=4)], "[0].draft_steps"),
        ("drafts_after_some_steps", [pb.EarlyDropping(keep=2, draft_steps=2, after=0.5)], "[0].after"),
        ("drafts_in_the_second_round", [first, pb.EarlyDropping(keep=2, draft_steps=2)], "[1].draft_steps"),
    ):
        selection = pb.Selection(variants=4, top_k=2, early_dropping=rounds)
        request = valid_request({"sampling.steps": 4, "selection": selection})
        yield BadInput(f"early_dropping_{name}", request, INVALID, f"selection.early_dropping{field}")
    for name, selection in (
        ("top_k_above_variants", pb.Selection(variants=2, top_k=3)),
        ("top_k_above_default_variants", pb.Selection(top_k=2)),
    ):
        yield BadInput(name, valid_request({"selection": selection}), INVALID, "selection.top_k")


def _bad_words() -> Iterator[BadInput]:
    for name in ("prompt", "negative_prompt"):
        field = f"conditioning.{name}"
        for what, text in (
            ("with_nul", "a mug\0"),
            ("of_100_words", "wooden " * 100),
            ("of_a_megabyte", "mug " * 2**18),
        ):
            yield BadInput(f"{name}_{what}", valid_request({field: text}), INVALID, field)
    for name, key in {"of_129": "k" * 129, "with_newline": "a\nb", "with_umlaut": "schlüssel", "nul": "\0"}.items():
        yield BadInput(f"idempotency_key_{name}", valid_request({"idempotency_key": key}), INVALID, "idempotency_key")
    for name, pipeline in (("unknown_pipeline", "no-such-pipeline"), ("pipeline_with_path", "../../etc/passwd")):
        yield BadInput(name, valid_request({"sampling.pipeline": pipeline}), MISSING, "sampling.pipeline")
    for name, adapter in (("unknown", "no-such-adapter"), ("nameless", ""), ("with_path", "../../etc/passwd")):
        request = valid_request({"conditioning.adapters": [pb.Adapter(name=adapter)]})
        yield BadInput(f"adapter_{name}", request, MISSING, "conditioning.adapters[0].name")


def _bad_geometry() -> Iterator[BadInput]:
    sizes = {"0x0": (0, 0), "63x64": (63, 64), "64x63": (64, 63), "4097x64": (4097, 64), "64x2^32-1": (64, 2**32 - 1)}
    for name, (width, height) in sizes.items():
        size = pb.Size(width=width, height=height)
        yield BadInput(f"size_{name}", valid_request({"delivery.size": size}), INVALID, "delivery.size")
    field = "background.placement"
    for padding in (-0.1, 0.46, 1.0, float("nan"), float("inf")):
        fit = pb.Placement(fit=pb.Fit(padding=padding))
        yield BadInput(f"padding_{padding}", valid_request({field: fit}), INVALID, f"{field}.fit.padding")
    for name in ("horizontal", "vertical"):
        for value in (99, -1):
            unknown: dict[str, Any] = {name: value}
            placement = pb.Placement(fit=pb.Fit(**unknown))
            yield BadInput(f"{name}_{value}", valid_request({field: placement}), INVALID, f"{field}.fit.{name}")
    for number in (0, 6):
        values: dict[str, Any] = {"snap": [pb.SNAP_CUT, number]}
        snapped = pb.Placement(fit=pb.Fit(**values))
        yield BadInput(f"snap_{number}", valid_request({field: snapped}), INVALID, f"{field}.fit.snap[1]")
    boxes = {
        "without_width": (0, 0, 0, 10),
        "without_height": (0, 0, 10, 0),
        "beyond_the_right": (WIDTH - 9, 0, 10, 10),
        "beyond_the_bottom": (0, HEIGHT - 9, 10, 10),
        "far_outside": (5000, 5000, 10, 10),
        "that_overflows": (2**32 - 1, 2**32 - 1, 2**32 - 1, 2**32 - 1),
    }
    for name, (x, y, width, height) in boxes.items():
        placement = pb.Placement(box=pb.Box(x=x, y=y, width=width, height=height))
        yield BadInput(f"box_{name}", valid_request({field: placement}), INVALID, f"{field}.box")


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _corrupt(png: bytes) -> bytes:
    """Overwrites the middle of the compressed pixels; the chunk's length and place stay right."""
    start = png.index(b"IDAT") + 4
    middle = start + (len(png) - 12 - start) // 2
    return png[: middle - 8] + b"\xff" * 16 + png[middle + 8 :]


def _png(width: int, height: int) -> bytes:
    """The smallest whole PNG that claims a size: 57 bytes without pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", b"") + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    body = io.BytesIO()
    body.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
    return body.getvalue()
