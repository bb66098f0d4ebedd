"""Requests that arms are measured with: the same for every arm, and no two of them share anything cacheable."""

from __future__ import annotations

import dataclasses
import functools
import io
import itertools
import zlib
from collections.abc import Sequence
from typing import Any, Self, TypedDict, Unpack

import numpy as np
from PIL import Image

from backdrop import Background
from backdrop._request import build_request
from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.arrays import Bytes

SCENES = ("a beach at sunset", "a city at night", "a forest in the morning", "a kitchen", "a mountain lake")
_NUMBERS = 10_000
"""Requests that one round of a measurement may have."""


@dataclasses.dataclass(frozen=True, eq=False)
class BenchRequest:
    """A background for the photo [H, W, 3] with its mask [H, W], which keeps its place.

    `styles` are square pictures [256, 256, 3] with their weights; a guidance scale of 1 means no guidance. `timeout_s`
    is the caller's deadline, in seconds.
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
        """The photo as a PNG file; encoded once, so that no arm's clock sees it."""
        return png(self.photo)

    @functools.cached_property
    def mask_file(self) -> bytes:
        """The mask as a PNG file."""
        return png(self.mask)

    @property
    def task(self) -> Background:
        """What the SDK is called with first."""
        return Background(self.product_file, self.mask_file)

    @property
    def options(self) -> dict[str, Any]:
        """The other arguments of the SDK's call, except its deadline."""
        return {
            "prompt": self.prompt,
            "seed": self.seed,
            "steps": self.steps,
            "guidance_scale": self.guidance_scale,
            "pipeline": self.pipeline,
        }

    def message(self) -> bytes:
        """The request as the bytes of a GenerateRequest, for arms that are not reached through the SDK."""
        return build_request(self.task, self.options).SerializeToString()

    @classmethod
    def from_message(cls, message: bytes) -> Self:
        """The request of such bytes."""
        request = pb.GenerateRequest.FromString(message)
        files, sampling = (request.background.product, request.background.mask), request.sampling
        photo, mask = (np.asarray(Image.open(io.BytesIO(file))) for file in files)
        return cls(
            photo,
            mask,
            request.conditioning.prompt,
            sampling.seed,
            sampling.steps,
            sampling.guidance_scale,
            pipeline=sampling.pipeline,
        )


class RequestOptions(TypedDict, total=False):
    """What differs from the pipeline's defaults."""

    steps: int
    guidance_scale: float
    pipeline: str
    timeout_s: float


class RequestSource:
    """Deals requests, each with a number of its own.

    Args:
        numbers: those of the requests, in their order.
    """

    def __init__(self, numbers: range) -> None:
        self.numbers = numbers
        self._next = iter(numbers)

    def next(self, **options: Unpack[RequestOptions]) -> BenchRequest:
        """One more request.

        Raises:
            StopIteration: the numbers are used up.
        """
        return numbered(next(self._next), **options)

    def take(self, count: int, **options: Unpack[RequestOptions]) -> list[BenchRequest]:
        """Some more requests."""
        return [numbered(number, **options) for number in itertools.islice(self._next, count)]


def requests(measurement: str, round_number: int) -> RequestSource:
    """The requests of one round of a measurement; no other round has any of them, so no cache can answer for it."""
    first = zlib.crc32(f"{measurement} {round_number}".encode()) * _NUMBERS
    return RequestSource(range(first, first + _NUMBERS))


def numbered(
    number: int,
    *,
    steps: int = 20,
    guidance_scale: float = 5.0,
    pipeline: str = "backdrop",
    timeout_s: float = 600.0,
) -> BenchRequest:
    """The request of that number, with a photo, a prompt and a seed of its own.

    256 × 256 pixels with a mask, so that no segmenter runs; the defaults are the pipeline's own.
    """
    prompt = f"{SCENES[number % len(SCENES)]}, number {number}"
    request = BenchRequest(
        _photo(number), _mask(), prompt, number, steps, guidance_scale, pipeline=pipeline, timeout_s=timeout_s
    )
    # Encoded now: not on the clock of the arm that asks first.
    _ = request.product_file, request.mask_file
    return request


def png(array: Bytes) -> bytes:
    """The array as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


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
