"""A caller whose identity was checked: its tenant, its name for records, and its scopes."""

from __future__ import annotations

import dataclasses

ANONYMOUS = "anonymous"
"""The tenant of callers without an identity."""


@dataclasses.dataclass(frozen=True)
class Caller:
    """Who sent a call.

    Attributes:
        tenant: whom its work is counted for; fair shares, quotas and idempotency keys belong to tenants.
        name: the identity in records: "certificate:…", "key:…" or "token:…"; never a secret.
        scopes: what it may do, as `backdrop.contract.access` names it.
    """

    tenant: str
    name: str
    scopes: frozenset[str] = frozenset()
