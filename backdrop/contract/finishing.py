"""Scenes to finished pictures: the known pixels composited back, and encoded."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from backdrop.contract.arrays import Bytes, blend
from backdrop.contract.borders import relit
from backdrop.contract.canvas import Canvas
from backdrop.contract.continuation import continued
from backdrop.contract.geometry import Size
from backdrop.contract.parts import OutputFormat
from backdrop.errors import Reason, error

_AROUND_BYTES = 1 << 16
"""What a message holds besides a picture's pixels."""

# zlib level 6 halves the time of Pillow's "optimize" for a few per cent of size; JPEG and WebP as the contract says.
_SAVE_OPTIONS: dict[OutputFormat, dict[str, object]] = {
    OutputFormat.PNG: {"compress_level": 6},
    OutputFormat.JPEG: {"quality": 92, "subsampling": 0},
    OutputFormat.WEBP: {"quality": 90, "method": 4},
}


def composite(scene: Bytes, canvas: Canvas) -> Bytes:
    """Puts the known pixels over a scene [H, W, C]; at soft edges alpha × known + (1 − alpha) × scene."""
    if canvas.kept is None:
        return scene
    return blend(np.invert(canvas.make), canvas.known, scene)


def finished(scene: Bytes, canvas: Canvas) -> Bytes:
    """The picture of a scene [H, W, C]: the known pixels over it, and colours that meet at the border.

    A product's border takes on the scene's colours, or what is made in a hole those of its surroundings.
    """
    picture = composite(continued(scene, canvas.known, canvas.make) if canvas.continues else scene, canvas)
    return picture if canvas.border is None else relit(picture, canvas.border)


def encode(picture: Bytes, output_format: OutputFormat) -> bytes:
    """Encodes [H, W, 3], or [H, W, 4] with alpha; a fresh image, so no metadata of the input can leave with it."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, output_format.value, **_SAVE_OPTIONS[output_format])
    return buffer.getvalue()


def check_fits(size: Size, longest: int | None, channels: int = 3) -> None:
    """Refuses pictures that may not fit into the caller's messages, before any work. Each has a message of its own.

    `channels`: of the picture, and one more for a receipt's map.

    Raises:
        OverloadedError: a picture of noise would take more than `longest` bytes; None = no limit.
    """
    # PNG stores what it cannot compress, with one more byte a row and a few in 32 KB.
    pixels = size.pixels * channels
    needed = pixels + size.height + pixels // 4096 + _AROUND_BYTES
    if longest is not None and needed > longest:
        message = (
            f"a picture of {size.width}×{size.height} may take {needed} bytes and the caller takes {longest}; set a"
            " smaller delivery.size, or a larger max_message_bytes in the client."
        )
        raise error(Reason.MESSAGE_TOO_LARGE, message, field="delivery.size")
