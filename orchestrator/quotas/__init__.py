"""Quotas by tenant, counted in Redis over all orchestrators, and by a local share while Redis does not answer."""

from __future__ import annotations

from orchestrator.quotas.limits import Limits, LimitTable
from orchestrator.quotas.quotas import Quotas, Use

__all__ = ["LimitTable", "Limits", "Quotas", "Use"]
