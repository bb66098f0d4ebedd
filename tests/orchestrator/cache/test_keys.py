"""A key changes with everything that the value depends on, and with nothing else."""

from __future__ import annotations

from orchestrator.cache import key


def test_a_key_depends_on_every_part_and_where_it_ends() -> None:
    keys = [
        key("text", "sha256:1", b"ab", b"c"),
        key("text", "sha256:1", b"a", b"bc"),
        key("text", "sha256:1", b"abc"),
        key("text", "sha256:2", b"ab", b"c"),
        key("mask", "sha256:1", b"ab", b"c"),
        key("text", "sha256:1", b"ab", b"c", b""),
    ]
    assert len(set(keys)) == len(keys)
    assert key("text", "sha256:1", b"ab", b"c") == keys[0]
    assert keys[0].startswith("text:")
