"""How much each tenant may have: one set of limits for all, and others for tenants by name."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

CONCURRENT = "concurrent_requests"
WORK = "row_step_megapixels_per_minute"
STORED = "stored_bytes"
NAMES = (CONCURRENT, WORK, STORED)
_EXAMPLE = '{"acme": {"concurrent_requests": 8}}'


@dataclasses.dataclass(frozen=True)
class Limits:
    """The quotas of a tenant; 0 = unlimited."""

    concurrent_requests: int = 0
    """Requests that run or wait at the same time."""
    row_step_megapixels_per_minute: float = 0.0
    """Work that refills in a minute; a tenant that was idle may spend a minute's work at once."""
    stored_bytes: int = 0
    """Bytes of results that are kept for its idempotency keys."""

    def __bool__(self) -> bool:
        return any(self.of(name) for name in NAMES)

    def of(self, name: str) -> float:
        """The limit of a quota by its name."""
        value: float = getattr(self, name)
        return value

    def part(self, share: float) -> Limits:
        """A share of concurrent requests and work; at least one request stays possible. Nothing is stored."""
        concurrent = max(1, math.floor(share * self.concurrent_requests)) if self.concurrent_requests else 0
        return Limits(concurrent, share * self.row_step_megapixels_per_minute)


@dataclasses.dataclass(frozen=True)
class LimitTable:
    """The limits of every tenant."""

    default: Limits
    by_tenant: Mapping[str, Limits]

    def of(self, tenant: str) -> Limits:
        """The limits of a tenant."""
        return self.by_tenant.get(tenant, self.default)


def read_table(text: str, default: Limits) -> LimitTable:
    """The table in a JSON text: limits by tenant and name; a limit that is not named is the default's.

    Raises:
        ValueError: it is no such text; the message names the tenant and the limit.
    """
    try:
        table = json.loads(text or "{}")
    except ValueError:
        table = None
    if not isinstance(table, dict):
        raise ValueError(f"must be a JSON object such as {_EXAMPLE}")
    return LimitTable(default, {tenant: _limits(tenant, entry, default) for tenant, entry in table.items()})


def _limits(tenant: str, entry: Any, default: Limits) -> Limits:
    if not isinstance(entry, dict):
        raise ValueError(f"{tenant} must be an object of limits, as in {_EXAMPLE}")
    for name, value in entry.items():
        if name not in NAMES:
            raise ValueError(f"{tenant}.{name} is no quota; there are {', '.join(NAMES)}")
        whole = isinstance(value, int) or (name == WORK and isinstance(value, float) and math.isfinite(value))
        if isinstance(value, bool) or not whole or value < 0:
            raise ValueError(f"{tenant}.{name} must be a number from 0 on (0 = unlimited)")
    return dataclasses.replace(default, **entry)
