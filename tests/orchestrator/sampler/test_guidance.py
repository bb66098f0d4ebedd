"""Guidance extrapolates from the unconditional prediction through the conditional one."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.sampler import combine

CONDITIONAL = np.array([1.0, -2.0, 0.5], np.float32)
UNCONDITIONAL = np.array([0.5, -1.0, 0.5], np.float32)


@pytest.mark.parametrize(
    ("scale", "expected"), [(0, [0.5, -1, 0.5]), (1, [1, -2, 0.5]), (5, [3, -6, 0.5]), (2.5, [1.75, -3.5, 0.5])]
)
def test_the_scale_says_how_far(scale: float, expected: list[float]) -> None:
    guided = combine(CONDITIONAL, UNCONDITIONAL, scale)
    assert guided.dtype == np.float32
    np.testing.assert_allclose(guided, expected)


def test_predictions_of_different_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes"):
        combine(CONDITIONAL, UNCONDITIONAL[:1], 2)
