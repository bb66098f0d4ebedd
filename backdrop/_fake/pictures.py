"""What the fake does with pixels: paints scenes, composites the known pixels on, encodes, and writes receipts."""

from __future__ import annotations

import hashlib
import io

import numpy as np
from PIL import Image

from backdrop._fake.frame import Bytes, Frame
from backdrop._fake.request import Request
from backdrop.contract.geometry import Size
from backdrop.contract.parts import OutputFormat
from backdrop.v1 import generation_service_pb2 as pb

_SAVE_OPTIONS: dict[OutputFormat, dict[str, int]] = {
    OutputFormat.PNG: {"compress_level": 1},
    OutputFormat.JPEG: {"quality": 92, "subsampling": 0},
    OutputFormat.WEBP: {"quality": 90},
}


def paint(request: Request, seed: int) -> Bytes:
    """A scene with the known pixels on it [H, W, 3]: a gradient of colours that follow from look and seed alone."""
    digest = hashlib.sha256(f"{request.look} {seed}".encode()).digest()
    colours = np.frombuffer(digest, np.uint8)[:27].reshape(3, 3, 3)
    return _composite(_resize(colours, request.frame.size), request.frame)


def preview(request: Request, picture: Bytes, done: float) -> bytes:
    """A small JPEG: the scene rises from mid grey from step to step; the known pixels are there from the first."""
    faded = (128 + (picture.astype(np.int16) - 128) * done).astype(np.uint8)
    scene_size = request.settings.scene_size
    small = _resize(_composite(faded, request.frame), Size(scene_size.width // 2, scene_size.height // 2))
    return _encode(small, OutputFormat.JPEG)


def finish(request: Request, picture: Bytes) -> pb.Picture:
    """The encoded picture with its receipt."""
    frame, output_format = request.frame, request.parts.delivery.format
    data = _encode(picture, output_format)
    return pb.Picture(
        data=data,
        media_type=output_format.media_type,
        width=frame.size.width,
        height=frame.size.height,
        receipt=_receipt(data, frame),
    )


def _composite(scene: Bytes, frame: Frame) -> Bytes:
    """The known pixels over the scene: known ones are copied, soft edges blended, in integers."""
    alpha = 255 - frame.make[..., None].astype(np.uint16)
    return ((alpha * frame.known + (255 - alpha) * scene + 127) // 255).astype(np.uint8)


def _resize(picture: Bytes, size: Size) -> Bytes:
    return np.asarray(Image.fromarray(picture).resize((size.width, size.height), Image.Resampling.BICUBIC))


def _encode(picture: Bytes, output_format: OutputFormat) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, output_format.value, **_SAVE_OPTIONS[output_format])
    return buffer.getvalue()


def _receipt(data: bytes, frame: Frame) -> pb.PreservationReceipt | None:
    """Decodes the finished file again and compares it with the known pixels; None where the frame has none."""
    if frame.receipt is None:
        return None
    known = frame.make == 0
    finished = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(np.int16)
    soft = bool(((frame.make > 0) & (frame.make < 255)).any())
    receipt = pb.PreservationReceipt(
        max_difference=int(np.abs(finished - frame.known)[known].max(initial=0)),
        compared_pixels=int(known.sum()),
        mask_digest=f"sha256:{hashlib.sha256(frame.make.tobytes()).hexdigest()}",
        compositing=pb.COMPOSITING_MODE_SOFT if soft else pb.COMPOSITING_MODE_HARD,
    )
    receipt.MergeFrom(frame.receipt)
    return receipt
