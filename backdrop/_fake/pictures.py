"""What the fake does with pixels: decodes photos, places the product, paints scenes, composites, writes receipts."""

from __future__ import annotations

import colorsys
import dataclasses
import hashlib
import io
import warnings
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from backdrop.errors import BackdropError, Reason, error
from backdrop.v1 import generation_service_pb2 as pb

Bytes: TypeAlias = NDArray[np.uint8]
Rect: TypeAlias = tuple[int, int, int, int]
"""x, y, width, height in pixels."""

MAX_PIXELS = 16_000_000
_MAX_SIDE = 8192
_MAX_BYTES = 16 * 2**20
_SAVE_OPTIONS: dict[str, dict[str, int]] = {
    "PNG": {"compress_level": 1},
    "JPEG": {"quality": 92, "subsampling": 0},
    "WEBP": {"quality": 90},
}


@dataclasses.dataclass(frozen=True)
class Canvas:
    """The placed product at the output size: colours [H, W, 3] and mask [H, W]."""

    rgb: Bytes
    mask: Bytes
    box: Rect
    unscaled: bool


def decode(data: bytes, field: str) -> Image.Image:
    """Returns the picture in `data`, upright, as RGB or RGBA of 8 bits.

    Raises:
        InvalidRequestError: it is not one whole, still PNG, JPEG or WebP, or too large.
    """
    if len(data) > _MAX_BYTES:
        raise _too_large(field)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image: Image.Image = Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP"))
        if image.width * image.height > MAX_PIXELS or max(image.size) > _MAX_SIDE:
            raise _too_large(field)
        if getattr(image, "n_frames", 1) > 1:
            raise _invalid(field, "is an animation; send one frame")
        image.load()
        image = ImageOps.exif_transpose(image)
    except BackdropError:
        raise
    except Image.DecompressionBombError:
        raise _too_large(field) from None
    except Exception:  # Pillow raises dozens of kinds on hostile bytes, all of which mean this
        raise _invalid(field, "is not a whole PNG, JPEG or WebP") from None
    if image.mode.startswith("I"):  # 16 bits: Pillow's own conversion would clip them
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)).convert("RGB")
    return image.convert("RGBA" if "A" in image.mode or "transparency" in image.info else "RGB")


def segment(rgb: Bytes) -> Bytes:
    """Returns a mask of what differs from the border's colour, or a middle ellipse where nothing or all does."""
    border = np.concatenate([rgb[0], rgb[-1], rgb[:, 0], rgb[:, -1]])
    distance = np.abs(rgb.astype(np.int16) - np.median(border, axis=0)).max(axis=2)
    mask = np.where(distance > 24, 255, 0).astype(np.uint8)
    if mask.any() and not mask.all():
        return mask
    height, width = mask.shape
    y, x = np.mgrid[:height, :width]
    inside = ((x + 0.5) / width - 0.5) ** 2 + ((y + 0.5) / height - 0.5) ** 2 < 0.1
    return np.where(inside, 255, 0).astype(np.uint8)


def bounding_box(mask: Bytes) -> Rect:
    """Returns the smallest rectangle that holds every pixel of `mask` above zero; it must have one."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return (
        int(columns[0]),
        int(rows[0]),
        int(columns[-1] - columns[0]) + 1,
        int(rows[-1] - rows[0]) + 1,
    )


def fit(width: int, height: int, room: Rect, align: tuple[float, float]) -> Rect:
    """Returns where a cut-out of this size stands in `room`: as large as fits, aligned from 0.0 (left, top) to 1.0."""
    scale = min(room[2] / width, room[3] / height)
    placed_width = min(room[2], max(1, round(width * scale)))
    placed_height = min(room[3], max(1, round(height * scale)))
    x = room[0] + round((room[2] - placed_width) * align[0])
    y = room[1] + round((room[3] - placed_height) * align[1])
    return x, y, placed_width, placed_height


def place(rgb: Bytes, mask: Bytes, size: tuple[int, int], box: Rect) -> Canvas:
    """Puts the cut-out at `box` of an empty canvas of `size`; at its own size it is copied, else resampled."""
    x, y, width, height = bounding_box(mask)
    cutout = np.dstack([rgb, mask])[y : y + height, x : x + width]
    unscaled = box[2:] == (width, height)
    if not unscaled:
        cutout = np.asarray(Image.fromarray(cutout).resize(box[2:], Image.Resampling.LANCZOS))
    canvas = np.zeros((size[1], size[0], 4), np.uint8)
    canvas[box[1] : box[1] + box[3], box[0] : box[0] + box[2]] = cutout
    return Canvas(canvas[..., :3], canvas[..., 3], box, unscaled)


def paint_scene(recipe: str, size: tuple[int, int]) -> Bytes:
    """Paints a sky, a ground and a light whose colours and places follow from `recipe` alone: [H, W, 3]."""
    dice = np.random.default_rng(np.frombuffer(hashlib.sha256(recipe.encode()).digest(), np.uint32))
    hue, horizon, light_x = dice.random(), dice.uniform(0.5, 0.72), dice.uniform(0.15, 0.85)
    zenith, dusk, near, far, glow = (
        np.array(colorsys.hsv_to_rgb((hue + turn) % 1.0, saturation, value))
        for turn, saturation, value in (
            (0.0, 0.55, 0.62),
            (0.12, 0.30, 0.97),
            (0.45, 0.35, 0.45),
            (0.40, 0.22, 0.80),
            (0.14, 0.10, 1.00),
        )
    )
    width, height = size
    y = (np.arange(height)[:, None, None] + 0.5) / height
    x = (np.arange(width)[None, :, None] + 0.5) / width
    sky = zenith + (dusk - zenith) * np.clip(y / horizon, 0.0, 1.0) ** 1.4
    ground = far + (near - far) * np.clip((y - horizon) / (1.0 - horizon), 0.0, 1.0)
    edge = np.clip((y - horizon) * 40.0 + 0.5, 0.0, 1.0)  # a soft horizon
    distance = ((x - light_x) * width / height) ** 2 + (y - horizon * 0.7) ** 2
    light = 0.75 * np.exp(-distance * 14.0) * (1.0 - 0.7 * edge)
    picture = sky * (1.0 - edge) + ground * edge
    return np.asarray(np.rint((picture * (1.0 - light) + glow * light) * 255.0), np.uint8)


def composite(scene: Bytes, canvas: Canvas) -> Bytes:
    """Returns the product over the scene: opaque pixels are copied, soft ones blended, in integers."""
    alpha = canvas.mask[..., None].astype(np.uint16)
    return ((alpha * canvas.rgb + (255 - alpha) * scene + 127) // 255).astype(np.uint8)


def resize(picture: Bytes, size: tuple[int, int]) -> Bytes:
    """Returns the picture at another size (width, height)."""
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))


def encode(picture: Bytes, pillow_format: str) -> bytes:
    """Returns the picture as a file without metadata; `pillow_format` is "PNG", "JPEG" or "WEBP"."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, pillow_format, **_SAVE_OPTIONS[pillow_format])
    return buffer.getvalue()


def receipt(data: bytes, canvas: Canvas, source: pb.MaskSource) -> pb.PreservationReceipt:
    """Decodes the finished file again and measures what became of the product."""
    opaque = canvas.mask == 255
    finished = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(np.int16)
    x, y, width, height = canvas.box
    hard = bool(((canvas.mask == 0) | opaque).all())
    return pb.PreservationReceipt(
        max_difference=int(np.abs(finished - canvas.rgb)[opaque].max(initial=0)),
        compared_pixels=int(opaque.sum()),
        mask_digest=f"sha256:{hashlib.sha256(canvas.mask.tobytes()).hexdigest()}",
        compositing=pb.COMPOSITING_MODE_HARD if hard else pb.COMPOSITING_MODE_SOFT,
        mask_source=source,
        product_box=pb.Box(x=x, y=y, width=width, height=height),
        unscaled=canvas.unscaled,
    )


def _invalid(field: str, problem: str) -> BackdropError:
    reason = Reason.INVALID_MASK if field == "mask" else Reason.INVALID_PICTURE
    return error(reason, f"{field} {problem}.", field=field)


def _too_large(field: str) -> BackdropError:
    message = f"{field} is larger than 16 megapixels, {_MAX_SIDE} pixels a side or 16 MiB; send a smaller one."
    return error(Reason.PICTURE_TOO_LARGE, message, field=field)
