"""Classifier-free guidance: Ho & Salimans 2022."""

from __future__ import annotations

import numpy as np

from orchestrator.sampler.prediction import Array


def combine(conditional: Array, unconditional: Array, scale: float) -> Array:
    """Returns the guided prediction, float32 of the arguments' shape.

    Args:
        conditional: the model's prediction for the prompt.
        unconditional: its prediction for the empty or negative prompt.
        scale: 1 + w of equation 6 of the paper; 1 returns `conditional`, a larger one follows the prompt more.

    Raises:
        ValueError: the two predictions differ in shape.
    """
    if conditional.shape != unconditional.shape:
        raise ValueError(f"the predictions have shapes {conditional.shape} and {unconditional.shape}")
    if scale == 1:
        return conditional
    return unconditional + np.float32(scale) * (conditional - unconditional)
