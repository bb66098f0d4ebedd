"""Noise of steps: the same on every machine, in any order."""

from __future__ import annotations

import numpy as np
import pytest

from backdrop.contract.limits import MAX_SEED
from orchestrator.sampler import NoiseStream


def test_noise_depends_on_seed_and_step_alone() -> None:
    stream = NoiseStream(11)
    late = stream.at_step(5, (4, 8, 8))
    assert np.array_equal(NoiseStream(11).initial((4, 8, 8)), stream.initial((4, 8, 8)))
    assert np.array_equal(NoiseStream(11).at_step(5, (4, 8, 8)), late)
    draws = [stream.initial((4, 8, 8)), late, stream.at_step(0, (4, 8, 8)), NoiseStream(12).initial((4, 8, 8))]
    correlations = np.corrcoef([draw.ravel() for draw in draws])
    assert np.all(np.abs(correlations - np.eye(4)) < 0.25)


def test_noise_is_standard_normal_float32_and_pinned() -> None:
    noise = NoiseStream(7).initial((64, 64, 8))
    assert noise.dtype == np.float32
    assert abs(float(noise.mean())) < 0.01
    assert abs(float(noise.std()) - 1) < 0.01
    np.testing.assert_array_equal(
        NoiseStream(7).initial((4,)),
        np.array([-0.2933390140533447, 1.703830599784851, 1.5391918420791626, 0.6367538571357727], np.float32),
    )


def test_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="seed"):
        NoiseStream(MAX_SEED + 1)
    with pytest.raises(ValueError, match="index"):
        NoiseStream(1).at_step(-1, (1,))
