"""Limits by tenant: read from JSON, with the default's where a tenant has no own."""

from __future__ import annotations

import pytest

from orchestrator.quotas.limits import Limits, read_table

DEFAULT = Limits(4, 100.0, 1000)


def test_a_tenant_has_its_own_limits_and_the_defaults() -> None:
    table = read_table('{"acme": {"concurrent_requests": 8}, "free": {"concurrent_requests": 0}}', DEFAULT)
    assert table.of("acme") == Limits(8, 100.0, 1000)
    assert table.of("free") == Limits(0, 100.0, 1000)
    assert table.of("anybody") == DEFAULT
    assert read_table("", DEFAULT).of("acme") == DEFAULT


def test_no_limits_are_nothing_to_count() -> None:
    assert not Limits()
    assert Limits(stored_bytes=1)


def test_a_share_leaves_one_request_possible() -> None:
    assert Limits(4, 100.0, 1000).part(0.5) == Limits(2, 50.0, 0)
    assert Limits(1, 0.0).part(0.5) == Limits(1, 0.0, 0)
    assert Limits().part(0.5) == Limits()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no json", "JSON"), ("[]", "JSON"), ('{"a": 1}', "a must be"), ('{"a": {"b": 1}}', "a.b is no quota"),
        ('{"a": {"stored_bytes": 1.5}}', "a.stored_bytes"), ('{"a": {"stored_bytes": true}}', "a.stored_bytes"),
        ('{"a": {"row_step_megapixels_per_minute": NaN}}', "a.row_step"), ('{"a": {"stored_bytes": -1}}', "from 0"),
    ],
)  # fmt: skip
def test_a_wrong_table_is_told_by_tenant_and_name(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_table(text, DEFAULT)
