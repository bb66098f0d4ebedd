"""The memory tier: recency, age, and its bound in bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cache.memory import ENTRY_OVERHEAD_BYTES as OVERHEAD
from orchestrator.cache.memory import MemoryTier


def test_the_least_recently_used_leaves_first() -> None:
    tier: MemoryTier[str] = MemoryTier(3 * (100 + OVERHEAD))
    for name in "abc":
        tier.put(name, name, 100, 60)
    assert tier.get("a") == "a"
    tier.put("d", "d", 100, 60)
    assert [tier.get(name) for name in "abcd"] == ["a", None, "c", "d"]


def test_what_is_larger_than_the_tier_is_not_kept_and_pushes_nothing_out() -> None:
    tier: MemoryTier[int] = MemoryTier(1000)
    tier.put("a", 1, 100, 60)
    tier.put("b", 2, 2000, 60)
    assert (tier.get("a"), tier.get("b")) == (1, None)
    nothing: MemoryTier[int] = MemoryTier(0)
    nothing.put("a", 1, 0, 60)
    assert nothing.get("a") is None


def test_what_is_too_old_is_gone() -> None:
    now = [0.0]
    tier: MemoryTier[int] = MemoryTier(10_000, clock=lambda: now[0])
    tier.put("a", 1, 10, ttl_s=5)
    now[0] = 4.9
    assert tier.get("a") == 1
    now[0] = 5.0
    assert tier.get("a") is None
    assert (len(tier), tier.size_bytes) == (0, 0)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3000)), max_size=60))
def test_the_bound_holds_and_the_count_is_right(puts: list[tuple[int, int]]) -> None:
    tier: MemoryTier[int] = MemoryTier(5000)
    sizes: dict[str, int] = {}
    for number, size in puts:
        tier.put(str(number), size, size, 60)
        sizes[str(number)] = size
        assert tier.size_bytes <= 5000
        kept = [name for name in sizes if tier.get(name) is not None]
        assert tier.size_bytes == sum(sizes[name] + OVERHEAD for name in kept)
        assert len(tier) == len(kept)
