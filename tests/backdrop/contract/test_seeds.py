"""Seeds of variants: a function of the request's seed and the variant's index, the same everywhere."""

from __future__ import annotations

import numpy as np
import pytest

from backdrop.contract.limits import MAX_SEED
from backdrop.contract.seeds import variant_seed


def test_variant_0_keeps_the_seed_and_the_others_are_pinned() -> None:
    assert variant_seed(7, 0) == 7
    # A change here changes every picture that anyone reproduces from a receipt.
    assert [variant_seed(7, i) for i in (1, 2, 3)] == [449103355366260047, 5573481420429128725, 8134944616077080400]


def test_variants_of_neighbouring_seeds_are_all_different_and_in_range() -> None:
    seeds = {variant_seed(seed, index) for seed in range(300) for index in range(1, 100)}
    assert len(seeds) == 300 * 99
    assert all(0 <= seed <= MAX_SEED for seed in seeds)
    bits = np.array([[seed >> bit & 1 for bit in range(63)] for seed in seeds])
    assert np.all(np.abs(bits.mean(axis=0) - 0.5) < 0.02)
    assert 0 <= variant_seed(MAX_SEED, 1) <= MAX_SEED


@pytest.mark.parametrize(("seed", "index"), [(-1, 0), (MAX_SEED + 1, 0), (0, -1)])
def test_seeds_and_indices_out_of_range_are_refused(seed: int, index: int) -> None:
    with pytest.raises(ValueError, match="must"):
        variant_seed(seed, index)
