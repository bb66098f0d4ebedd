"""What the fake does with pixels: it paints scenes around the known pixels, and finishes them as the server does."""

from __future__ import annotations

import hashlib

import numpy as np
from PIL import Image

from backdrop._fake.request import Request
from backdrop.contract.arrays import Bytes
from backdrop.contract.canvas import Canvas
from backdrop.contract.finishing import composite, encode, finished
from backdrop.contract.geometry import Size
from backdrop.contract.palette import colours_of, towards
from backdrop.contract.parts import OutputFormat
from backdrop.contract.receipts import receipt
from backdrop.contract.write import receipt_message
from backdrop.v1 import generation_service_pb2 as pb

_PALETTE = 0.75
"""The part of the way that a scene's colours are moved towards a palette."""


def paint(request: Request, canvas: Canvas, seed: int) -> Bytes:
    """A scene [H, W, 3]: a gradient of colours that follow from look and seed alone.

    Where the noise starts from a picture, the scene is mixed with it.
    """
    if canvas.scene is not None:
        return _resize(canvas.scene, canvas.size)
    digest = hashlib.sha256(f"{request.look} {seed}".encode()).digest()
    colours = np.frombuffer(digest, np.uint8)[:27].reshape(3, 3, 3)
    scene, strength = _resize(colours, canvas.size), request.parts.sampling.strength
    if strength < 1:
        start = canvas.known if canvas.start is None else canvas.start
        scene = (scene * strength + start * (1 - strength)).astype(np.uint8)
    if palette := request.parts.conditioning.palette:
        weight = canvas.make.astype(np.float32) / 255
        moved = towards(scene.astype(np.float32) / 255, weight, colours_of(palette), _PALETTE)
        scene = np.rint(moved * 255).astype(np.uint8)
    return scene


def preview(request: Request, canvas: Canvas, scene: Bytes, done: float) -> bytes:
    """A small JPEG: the scene rises from mid grey from step to step; the known pixels are there from the first."""
    faded = (128 + (scene.astype(np.int16) - 128) * done).astype(np.uint8)
    scene_size = request.settings.scene_size
    small = Size(scene_size.width // 2, scene_size.height // 2)
    return encode(_resize(composite(faded, canvas), small), OutputFormat.JPEG)


def finish(request: Request, canvas: Canvas, scene: Bytes) -> pb.Picture:
    """The encoded picture of a scene with its receipt."""
    output_format = request.parts.delivery.format
    data = encode(finished(scene, canvas), output_format)
    return pb.Picture(
        data=data,
        media_type=output_format.media_type,
        width=canvas.size.width,
        height=canvas.size.height,
        receipt=receipt_message(receipt(data, canvas, scene)),
    )


def _resize(picture: Bytes, size: Size) -> Bytes:
    """At its own size a picture stays as it is; there is no upscaler here."""
    return np.asarray(Image.fromarray(picture).resize((size.width, size.height), Image.Resampling.BICUBIC))
