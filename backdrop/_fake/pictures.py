"""What the fake does with pixels: paints scenes, composites, encodes, and writes receipts."""

from __future__ import annotations

import colorsys
import hashlib
import io

import numpy as np
from PIL import Image

from backdrop._fake.frame import Bytes, Frame
from backdrop.contract.geometry import Size
from backdrop.contract.parts import OutputFormat
from backdrop.v1 import generation_service_pb2 as pb

_SAVE_OPTIONS: dict[OutputFormat, dict[str, int]] = {
    OutputFormat.PNG: {"compress_level": 1},
    OutputFormat.JPEG: {"quality": 92, "subsampling": 0},
    OutputFormat.WEBP: {"quality": 90},
}


def paint_scene(recipe: str, size: Size) -> Bytes:
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
    width, height = size.width, size.height
    y = (np.arange(height)[:, None, None] + 0.5) / height
    x = (np.arange(width)[None, :, None] + 0.5) / width
    sky = zenith + (dusk - zenith) * np.clip(y / horizon, 0.0, 1.0) ** 1.4
    ground = far + (near - far) * np.clip((y - horizon) / (1.0 - horizon), 0.0, 1.0)
    edge = np.clip((y - horizon) * 40.0 + 0.5, 0.0, 1.0)  # a soft horizon
    distance = ((x - light_x) * width / height) ** 2 + (y - horizon * 0.7) ** 2
    light = 0.75 * np.exp(-distance * 14.0) * (1.0 - 0.7 * edge)
    picture = sky * (1.0 - edge) + ground * edge
    return np.asarray(np.rint((picture * (1.0 - light) + glow * light) * 255.0), np.uint8)


def composite(scene: Bytes, frame: Frame) -> Bytes:
    """The known pixels over the scene: known ones are copied, soft edges blended, in integers."""
    alpha = 255 - frame.make[..., None].astype(np.uint16)
    return ((alpha * frame.known + (255 - alpha) * scene + 127) // 255).astype(np.uint8)


def resize(picture: Bytes, size: Size) -> Bytes:
    """The picture at another size."""
    return np.asarray(Image.fromarray(picture).resize((size.width, size.height), Image.Resampling.BICUBIC))


def encode(picture: Bytes, output_format: OutputFormat) -> bytes:
    """The picture as a file without metadata."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, output_format.value, **_SAVE_OPTIONS[output_format])
    return buffer.getvalue()


def receipt(data: bytes, frame: Frame) -> pb.PreservationReceipt | None:
    """Decodes the finished file again and compares it with the known pixels; None where the frame has none."""
    if frame.receipt is None:
        return None
    known = frame.make == 0
    finished = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(np.int16)
    soft = bool(((frame.make > 0) & (frame.make < 255)).any())
    message = pb.PreservationReceipt(
        max_difference=int(np.abs(finished - frame.known)[known].max(initial=0)),
        compared_pixels=int(known.sum()),
        mask_digest=f"sha256:{hashlib.sha256(frame.make.tobytes()).hexdigest()}",
        compositing=pb.COMPOSITING_MODE_SOFT if soft else pb.COMPOSITING_MODE_HARD,
    )
    message.MergeFrom(frame.receipt)
    return message
