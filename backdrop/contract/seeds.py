"""The seed of each variant, a function of the request's seed and the variant's index alone."""

from __future__ import annotations

from backdrop.contract.limits import MAX_SEED

_MASK = 2**64 - 1
_GOLDEN_GAMMA = 0x9E3779B97F4A7C15


def variant_seed(seed: int, index: int) -> int:
    """Returns the seed of variant `index` of a request, in 0 … 2⁶³ − 1.

    Variant 0 keeps the seed itself, so one variant of a request can be made again on its own: put its seed in a
    request of one variant.

    Raises:
        ValueError: the seed or the index is out of range.
    """
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(f"seed must lie between 0 and 2^63 - 1, got {seed}")
    if index < 0:
        raise ValueError(f"the variant's index must not be negative, got {index}")
    if index == 0:
        return seed
    # The seed is mixed before the index is added: neighbouring seeds must not share their variants.
    return _mix(_mix(seed) + index * _GOLDEN_GAMMA) % (MAX_SEED + 1)


def _mix(value: int) -> int:
    """The finaliser of SplitMix64 (Steele, Lea & Flood 2014)."""
    value &= _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)
