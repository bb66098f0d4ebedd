"""What the arms are asked for: orders that are the same for every arm, and of which no two share anything cacheable."""

from __future__ import annotations

import dataclasses
import functools
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.domain import Bytes

SCENES = ("a beach at sunset", "a city at night", "a forest in the morning", "a kitchen", "a mountain lake")


@dataclasses.dataclass(frozen=True, eq=False)
class Order:
    """What is generated: the photo [H, W, 3] with its mask [H, W] stays where it is.

    `styles` are square pictures [256, 256, 3] with their weights; a guidance scale of 1 means none. `timeout_s` is the
    caller's deadline, in seconds.
    """

    photo: Bytes
    mask: Bytes
    prompt: str
    seed: int
    steps: int
    guidance_scale: float
    styles: Sequence[tuple[Bytes, float]] = ()
    image_scale: float = 1.0
    pipeline: str = "backdrop"
    timeout_s: float = 600.0

    @functools.cached_property
    def product_file(self) -> bytes:
        """The photo as a PNG file; made once, so that no arm's clock sees it."""
        return png(self.photo)

    @functools.cached_property
    def mask_file(self) -> bytes:
        """The mask as a PNG file."""
        return png(self.mask)

    def message(self) -> bytes:
        """The order as the bytes of a GenerateRequest, for arms that are not reached through the SDK."""
        request = pb.GenerateRequest(
            product=self.product_file,
            mask=self.mask_file,
            prompt=self.prompt,
            seed=self.seed,
            steps=self.steps,
            guidance_scale=self.guidance_scale,
            pipeline=self.pipeline,
        )
        return request.SerializeToString()

    @property
    def rows(self) -> int:
        """Rows of each of its steps."""
        return 2 if self.guidance_scale > 1 else 1


def png(array: Bytes) -> bytes:
    """The array as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def numbered(
    number: int,
    *,
    steps: int = 20,
    guidance_scale: float = 5.0,
    pipeline: str = "backdrop",
    timeout_s: float = 600.0,
) -> Order:
    """The order of that number: a photo, a prompt and a seed of its own, so that no cache can answer for another.

    256 × 256 pixels with a mask, so that no segmenter runs; the defaults are the pipeline's own.
    """
    prompt = f"{SCENES[number % len(SCENES)]}, number {number}"
    order = Order(_photo(number), _mask(), prompt, number, steps, guidance_scale, (), 1.0, pipeline, timeout_s)
    # Encoded now: not on the clock of the arm that asks first.
    _ = order.product_file, order.mask_file
    return order


def _photo(number: int) -> Bytes:
    """A bottle-like ellipse before a plain gradient, in colours of its own [256, 256, 3]."""
    rng = np.random.default_rng(number)
    ground, product = rng.uniform(40, 215, (2, 3))
    fade = np.linspace(0.8, 1.2, 256)[:, None, None]
    inside = (_mask() / 255.0)[..., None]
    picture = (ground * (1 - inside) + product * inside) * fade + rng.normal(0, 2, (256, 256, 1))
    colours: Bytes = np.clip(picture, 0, 255).astype(np.uint8)
    return colours


@functools.cache
def _mask() -> Bytes:
    y, x = np.mgrid[0:256, 0:256]
    radius = np.hypot((x - 127.5) / 55, (y - 127.5) / 85)
    mask: Bytes = np.clip((1 - radius) * 1500 + 128, 0, 255).astype(np.uint8)
    return mask
