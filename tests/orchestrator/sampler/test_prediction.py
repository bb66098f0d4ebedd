"""Predictions: noise, velocity and clean latents of the same sample give the same estimate and direction."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.sampler.noise import NoiseStream
from orchestrator.sampler.prediction import FLOW_VELOCITY, VARIANCE_EXPLODING, VARIANCE_PRESERVING, Array, ModelCall

CLEAN, NOISE = (NoiseStream(seed).initial((4, 8, 8)) for seed in (1, 2))


def output_of(kind: str, signal: float, level: float) -> Array:
    """What a model that is right returns; models are trained on variance-preserving samples."""
    signal, level = signal / np.hypot(signal, level), level / np.hypot(signal, level)
    outputs: dict[str, Array] = {
        "epsilon": NOISE,
        "v_prediction": np.float32(signal) * NOISE - np.float32(level) * CLEAN,
        "sample": CLEAN,
    }
    return outputs[kind]


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("level", [0.1, 0.6, 0.95])
def test_every_kind_says_the_same_of_a_sample(kind: str, level: float) -> None:
    levels = [(VARIANCE_PRESERVING[kind], np.sqrt(1 - level**2), level), (VARIANCE_EXPLODING[kind], 1.0, 14 * level)]
    for prediction, signal, noise_level in levels:
        sample = np.float32(signal) * CLEAN + np.float32(noise_level) * NOISE
        output = output_of(kind, signal, noise_level)
        denoised = prediction.denoised(ModelCall(sample, output, np.float32(signal), np.float32(noise_level)))
        np.testing.assert_allclose(denoised.clean, CLEAN, atol=1e-4)
        np.testing.assert_allclose(denoised.direction(), NOISE, atol=1e-4)


def test_a_flow_points_from_clean_to_noise() -> None:
    level = np.float32(0.3)
    sample = (1 - level) * CLEAN + level * NOISE
    denoised = FLOW_VELOCITY.denoised(ModelCall(sample, NOISE - CLEAN, 1 - level, level))
    np.testing.assert_allclose(denoised.clean, CLEAN, atol=1e-6)
    np.testing.assert_array_equal(denoised.direction(), NOISE - CLEAN)
