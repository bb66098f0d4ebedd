"""The cluster's picture is the one that torch and diffusers make of the same weights, noise and schedule."""

from pathlib import Path

import numpy as np

from backdrop import AsyncClient
from bench.torch_reference import Order, TorchReference, largest_difference
from tests.pictures import ellipse_mask, encoded, noisy_photo

WEIGHTS = Path(__file__).resolve().parents[2] / "training" / "weights" / "backdrop"


async def test_the_largest_difference_is_two_steps_of_255(cluster_endpoint: str) -> None:
    order = Order(noisy_photo(256, 256), ellipse_mask(256, 256), "a forest in the morning", 5, 6, 4.0)
    async with AsyncClient(cluster_endpoint, timeout_s=120) as client:
        result = await client.generate(
            encoded(order.photo), mask=encoded(order.mask), prompt=order.prompt, seed=order.seed, steps=order.steps,
            guidance_scale=order.guidance_scale, scheduler="dpmpp_2m",
        )  # fmt: skip
    ours = np.asarray(result.pictures[0].image().convert("RGB"))
    assert largest_difference(ours, TorchReference(WEIGHTS).generate(order)) <= 2
