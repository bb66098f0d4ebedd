"""A caller whose identity was checked: its tenant, its name for records, and its scopes."""

from __future__ import annotations

import dataclasses

from backdrop.contract.access import SCOPES

ANONYMOUS = "anonymous"
"""The tenant of callers without an identity."""
_LONGEST_TENANT = 128


@dataclasses.dataclass(frozen=True)
class Caller:
    """Who sent a call.

    Attributes:
        tenant: whom its work is counted for; fair shares, quotas and idempotency keys belong to tenants.
        name: the identity in records: "certificate:…", "key:…" or "token:…"; never a secret.
        scopes: what it may do, as `backdrop.contract.access` has it.
    """

    tenant: str
    name: str
    scopes: frozenset[str] = frozenset()


NOBODY = Caller(ANONYMOUS, ANONYMOUS, frozenset(SCOPES))
"""The caller where no identity is configured: it may do everything."""


def check_tenant(tenant: str) -> str:
    """Returns a tenant's name; raises ValueError for one that cannot be a tenant."""
    if not 0 < len(tenant) <= _LONGEST_TENANT or not tenant.isprintable() or tenant == ANONYMOUS:
        raise ValueError(f"a tenant's name has 1 to {_LONGEST_TENANT} printable characters and is not {ANONYMOUS!r}")
    return tenant
