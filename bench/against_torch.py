"""The cluster's pictures beside those that torch modules make of the same orders: every pipeline, and style."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from backdrop import Client, StyleImage
from bench.figures import ROOT
from bench.orders import Order
from bench.torch_reference import TorchReference, largest_difference
from tests.pictures import ellipse_mask, encoded, noisy_photo

WEIGHTS = ROOT / "training" / "weights"


def order(seed: int, prompt: str, steps: int = 20) -> Order:
    """A noisy photo with a soft mask, guided."""
    return Order(noisy_photo(256, 256, seed), ellipse_mask(256, 256, soft=True), prompt, seed, steps, 3.0)


def orders(steps: int = 20) -> dict[str, list[Order]]:
    """What is compared, by pipeline whose weights are published."""
    styled = dataclasses.replace(
        order(2, "a forest", steps), styles=((noisy_photo(256, 256, 99), 1.0),), image_scale=0.8
    )
    wanted = {
        "backdrop": [order(0, "a beach at sunset", steps), order(1, "a city at night", steps), styled],
        "backdrop-fast": [dataclasses.replace(order(3, "a kitchen"), steps=4, guidance_scale=1.0)],
        "backdrop-dit": [order(4, "a market at night", steps)],
    }
    return {name: some for name, some in wanted.items() if (WEIGHTS / name).is_dir()}


def differences(endpoint: str, compared: Mapping[str, Sequence[Order]]) -> dict[str, list[int]]:
    """The largest difference of each order's picture, in 8-bit steps, by pipeline."""
    found: dict[str, list[int]] = {}
    with Client(endpoint, timeout_s=300) as client:
        for name, some in compared.items():
            reference = TorchReference(WEIGHTS / name)
            found[name] = [largest_difference(_served(client, name, one), reference.generate(one)) for one in some]
    return found


def _served(client: Client, pipeline: str, one: Order) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    result = client.generate(
        encoded(one.photo),
        mask=encoded(one.mask),
        prompt=one.prompt,
        seed=one.seed,
        steps=one.steps,
        guidance_scale=one.guidance_scale,
        pipeline=pipeline,
        style_images=[StyleImage(encoded(picture), weight) for picture, weight in one.styles],
        image_scale=one.image_scale,
    ).result()
    return np.asarray(result.pictures[0].image().convert("RGB"))
