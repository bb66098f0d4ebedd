"""Decode: the decoder sees the latents with the known pixels and the mask of one row."""

from __future__ import annotations

import numpy as np

from orchestrator.imaging.view import view_of
from orchestrator.stages.decode import decode
from tests.orchestrator.imaging.frames import product_frame
from tests.orchestrator.small import FunctionModels, request
from tests.orchestrator.stages.running import models_of
from tests.pictures import ellipse_mask, noisy_photo


async def test_the_decoder_is_given_the_seam() -> None:
    functions = FunctionModels()
    view = view_of(product_frame(noisy_photo(256, 256), ellipse_mask(256, 256)), 8)
    latents = np.random.default_rng(3).normal(size=(4, 32, 32)).astype(np.float32)
    decoded = await decode(latents, view, models_of(request(), functions))
    assert decoded.shape == (3, 256, 256)
    inputs = functions.inputs["vae_decoder"]
    assert {name: value.shape[0] for name, value in inputs.items()} == {"latents": 1, "image": 1, "mask": 1}
    assert np.array_equal(inputs["latents"][0], latents)
    assert np.array_equal(inputs["image"][0], view.known)
    assert np.array_equal(inputs["mask"][0], view.mask)
