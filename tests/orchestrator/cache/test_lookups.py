"""A request's look-ups: keys by kind, fingerprint and content, and a count of where answers came from."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.cache import TwoTierCache
from orchestrator.cache.lookups import RequestLookups

Arrays = dict[str, npt.NDArray[Any]]
PARTS = {"ids": np.array([[1, 2]]), "mask": np.ones((1, 2), np.float32)}


def counts(lookups: RequestLookups) -> tuple[int, int, int]:
    report = lookups.report()
    return report.memory_hits, report.redis_hits, report.misses


async def compute() -> Arrays:
    return {"y": np.zeros(3, np.float32)}


async def test_answers_are_counted_by_their_source() -> None:
    cache = TwoTierCache(None)
    first, second = RequestLookups(cache), RequestLookups(cache)
    for lookups in (first, first, second):
        await lookups.arrays("text", "sha256:1", PARTS, compute)
    assert counts(first) == (1, 0, 1)
    assert counts(second) == (1, 0, 0)


async def test_whatever_the_value_depends_on_is_in_the_key() -> None:
    lookups = RequestLookups(TwoTierCache(None))
    others: list[Arrays] = [
        PARTS,
        {"ids": PARTS["ids"], "other": PARTS["mask"]},
        {"ids": PARTS["ids"].reshape(2, 1), "mask": PARTS["mask"]},
        {"ids": PARTS["ids"].astype(np.int32), "mask": PARTS["mask"]},
        {"ids": PARTS["ids"] + 1, "mask": PARTS["mask"]},
    ]
    for parts in others:
        await lookups.arrays("text", "sha256:1", parts, compute)
    await lookups.arrays("text", "sha256:2", PARTS, compute)
    await lookups.arrays("image", "sha256:1", PARTS, compute)
    assert lookups.report().misses == len(others) + 2
    await lookups.arrays("text", "sha256:1", dict(reversed(PARTS.items())), compute)
    assert lookups.report().misses == len(others) + 2, "the order of the parts does not matter"
