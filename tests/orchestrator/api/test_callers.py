"""Tenants: by the verified client certificate, or all callers as one."""

from __future__ import annotations

import pytest

from orchestrator.api.callers import caller_of
from orchestrator.identity.caller import ANONYMOUS


@pytest.mark.parametrize(
    ("context", "tenant"),
    [
        ({}, ANONYMOUS),
        ({"x509_common_name": []}, ANONYMOUS),
        ({"peer": [b"10.0.0.1"]}, ANONYMOUS),
        ({"x509_common_name": [b"shop"], "x509_subject_alternative_name": [b"other"]}, "shop"),
        ({"x509_common_name": ["Müller".encode()]}, "Müller"),
        ({"x509_common_name": [b"\xff"]}, "\ufffd"),
    ],
)
def test_the_common_name_is_the_tenant(context: dict[str, list[bytes]], tenant: str) -> None:
    assert caller_of(context).tenant == tenant
