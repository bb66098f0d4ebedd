"""Seeds of variants and noise of steps: the same on every machine, in any order."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.sampler import NoiseStream, variant_seed
from orchestrator.sampler.noise import SEED_LIMIT


def test_variant_0_keeps_the_seed_and_the_others_are_pinned() -> None:
    assert variant_seed(7, 0) == 7
    # A change here changes every picture that anyone reproduces from a receipt.
    assert [variant_seed(7, i) for i in (1, 2, 3)] == [449103355366260047, 5573481420429128725, 8134944616077080400]


def test_variants_of_neighbouring_seeds_are_all_different_and_in_range() -> None:
    seeds = {variant_seed(seed, index) for seed in range(300) for index in range(1, 100)}
    assert len(seeds) == 300 * 99
    assert all(0 <= seed < SEED_LIMIT for seed in seeds)
    bits = np.array([[seed >> bit & 1 for bit in range(63)] for seed in seeds])
    assert np.all(np.abs(bits.mean(axis=0) - 0.5) < 0.02)
    assert 0 <= variant_seed(SEED_LIMIT - 1, 1) < SEED_LIMIT


@pytest.mark.parametrize(("seed", "index"), [(-1, 0), (SEED_LIMIT, 0), (0, -1)])
def test_seeds_and_indices_out_of_range_are_refused(seed: int, index: int) -> None:
    with pytest.raises(ValueError, match="must"):
        variant_seed(seed, index)


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
        NoiseStream(SEED_LIMIT)
    with pytest.raises(ValueError, match="index"):
        NoiseStream(1).at_step(-1, (1,))
