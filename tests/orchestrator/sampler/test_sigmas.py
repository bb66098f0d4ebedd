"""Spacings of the noise levels against scipy, against their ends, and the timesteps of levels."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.sampler.sigmas import beta_quantiles, nearest_timesteps, spaced


def test_the_beta_quantiles_are_those_of_scipy() -> None:
    scipy_stats = pytest.importorskip("scipy.stats")
    levels = np.linspace(0, 1, 501)
    np.testing.assert_allclose(beta_quantiles(levels), scipy_stats.beta.ppf(levels, 0.6, 0.6), atol=1e-12)


@pytest.mark.parametrize("spacing", ["karras", "exponential", "beta", "lu"])
def test_levels_fall_from_the_largest_to_the_smallest(spacing: str) -> None:
    for steps in (2, 3, 20):
        levels = spaced(spacing, 14.6, 0.03, steps)
        np.testing.assert_allclose((levels[0], levels[-1]), (14.6, 0.03), rtol=1e-12)
        assert np.all(np.diff(levels) < 0)
    assert spaced(spacing, 14.6, 0.03, 1).tolist() == pytest.approx([14.6])


def test_a_level_of_training_is_at_its_timestep_and_others_between() -> None:
    trained = np.geomspace(0.03, 14.6, 1000).astype(np.float32)
    assert nearest_timesteps(trained[[999, 500, 0]].astype(np.float64), trained) == pytest.approx(
        [999, 500, 0], abs=1e-3
    )
    between = np.sqrt(trained[10].astype(np.float64) * trained[11])
    assert nearest_timesteps(np.array([between, 1000.0, 0.001]), trained) == pytest.approx([10.5, 999, 0], abs=1e-3)
