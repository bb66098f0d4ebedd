"""The quotas of tenants: requests are granted by the counts in Redis, or by this process's share of them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from backdrop.errors import BackdropError, Reason, error
from orchestrator.cache.keys import owner_of
from orchestrator.cache.redis_tier import RedisTier, Script
from orchestrator.quotas.limits import CONCURRENT, STORED, WORK, Limits, LimitTable
from orchestrator.quotas.local import LocalShare
from orchestrator.quotas.scripts import GIVE, RENEW, TAKE, USE

LEASE_S = 15.0
"""A running request of an orchestrator that died is counted so long."""
_RENEWALS = 3
# A refused tenant is refused again for so long without asking Redis: its flood must cost little.
_REMEMBERED_S = 0.25
_MIN_RETRY_AFTER_S = 0.5


@dataclasses.dataclass(frozen=True)
class Use:
    """A quota of a tenant, and how much of it is used."""

    name: str
    limit: float
    used: float


@dataclasses.dataclass(eq=False)
class _Grant:
    """A request that counts for its tenant."""

    tenant: str
    request_id: str
    local: bool
    """Whether its work was granted by the local share."""


class Quotas:
    """Grants and refuses requests. Made inside the event loop.

    Args:
        table: the limits of every tenant.
        redis: counts over all orchestrators; None: there is one, which has every quota whole.
        index_key: the key in Redis that has the stored results of an owner (`ResultStore.index_key`).
        local_share: the part of each quota that this orchestrator grants while Redis does not answer.
        on_refused: is told the name of each quota that refuses a request.
    """

    def __init__(
        self,
        table: LimitTable,
        redis: RedisTier | None,
        index_key: Callable[[str], str],
        *,
        local_share: float,
        on_refused: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._table, self._redis, self._index_key = table, redis, index_key
        self._share = local_share if redis else 1.0
        self._on_refused = on_refused
        self._local = LocalShare()
        self._grants: set[_Grant] = set()
        self._refusals: dict[str, tuple[float, str, float]] = {}
        self._renewal = asyncio.create_task(self._renew()) if redis else None

    def check(self, tenant: str) -> None:
        """Refuses a tenant at once that was refused a moment ago; nothing is awaited.

        Raises:
            OverloadedError: the quota that refused it then is still spent.
        """
        if (refusal := self._refusals.get(tenant)) is not None:
            until, name, retry_at = refusal
            if time.monotonic() < until:
                raise self._refused(tenant, name, retry_at - time.monotonic())
            del self._refusals[tenant]

    @contextlib.asynccontextmanager
    async def hold(
        self, tenant: str, request_id: str, work: float, *, stores: bool, unspent: Callable[[], float]
    ) -> AsyncIterator[None]:
        """Counts a request for its tenant until it ends. Redis delays it by its time limit at most.

        Args:
            tenant: whose request it is.
            request_id: its id.
            work: row-steps × megapixels of all its model calls.
            stores: whether its result will be kept.
            unspent: how much of the work was not done, if it fails or is cancelled; that work is given back.

        Raises:
            OverloadedError: a quota is spent; `quota` names it, and `retry_after_s` says when to come back.
        """
        limits = self._table.of(tenant)
        if not limits:
            yield
            return
        grant = await self._take(tenant, request_id, work, stores, limits)
        rest = 0.0
        try:
            yield
        except BaseException:
            rest = min(work, unspent())
            raise
        finally:
            self._give(grant, rest, limits)

    async def use(self, tenant: str) -> list[Use]:
        """The tenant's quotas and their use; empty if it has none."""
        limits = self._table.of(tenant)
        if not limits:
            return []
        answer = await self._run(USE, tenant, limits.row_step_megapixels_per_minute)
        if answer is None:
            part = limits.part(self._share)
            used = {CONCURRENT: float(self._running(tenant)), WORK: self._local.spent(tenant, part), STORED: 0.0}
        else:
            used = dict(zip((CONCURRENT, WORK, STORED), map(float, answer), strict=True))
        return [Use(name, limits.of(name), max(0.0, used[name])) for name in used if limits.of(name)]

    async def close(self) -> None:
        """Stops renewing."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait([self._renewal])

    async def _take(self, tenant: str, request_id: str, work: float, stores: bool, limits: Limits) -> _Grant:
        arguments = (
            *(request_id, limits.concurrent_requests, int(1000 * LEASE_S)),
            *(work, limits.row_step_megapixels_per_minute, limits.stored_bytes if stores else 0),
        )
        answer = await self._run(TAKE, tenant, *arguments)
        if answer is None:
            name, retry_after_s = self._local.take(tenant, self._running(tenant), work, limits.part(self._share))
        else:
            name, retry_after_s = answer[0].decode(), answer[1] / 1000
        if name:
            retry_after_s = round(max(_MIN_RETRY_AFTER_S, retry_after_s), 1)
            now = time.monotonic()
            if name != STORED:  # a request without a key is not refused by it
                self._refusals[tenant] = now + min(_REMEMBERED_S, retry_after_s), name, now + retry_after_s
            raise self._refused(tenant, name, retry_after_s)
        grant = _Grant(tenant, request_id, local=answer is None)
        self._grants.add(grant)
        return grant

    def _give(self, grant: _Grant, unspent: float, limits: Limits) -> None:
        self._grants.discard(grant)
        self._refusals.pop(grant.tenant, None)
        if grant.local:
            self._local.give(grant.tenant, unspent, limits.part(self._share))
        if self._redis is not None:
            rest = 0.0 if grant.local else unspent
            capacity = limits.row_step_megapixels_per_minute
            self._redis.run_later(self._script(GIVE, grant.tenant, grant.request_id, rest, capacity))

    def _refused(self, tenant: str, name: str, retry_after_s: float) -> BackdropError:
        self._on_refused(name)
        retry_after_s = max(0.0, retry_after_s)
        text = f"the quota {name} of {self._table.of(tenant).of(name):g} is spent; try again in {retry_after_s:.1f} s."
        return error(Reason.QUOTA_SPENT, text, retry_after_s=retry_after_s, quota=name)

    def _running(self, tenant: str) -> int:
        return sum(grant.tenant == tenant for grant in self._grants)

    async def _renew(self) -> None:
        assert self._redis is not None
        while True:
            await asyncio.sleep(LEASE_S / _RENEWALS)
            by_tenant: dict[str, list[str]] = {}
            for grant in self._grants:
                if self._table.of(grant.tenant).concurrent_requests:
                    by_tenant.setdefault(grant.tenant, []).append(grant.request_id)
            for tenant, ids in by_tenant.items():
                await self._redis.run_soon(self._script(RENEW, tenant, int(1000 * LEASE_S), *ids))

    async def _run(self, text: str, tenant: str, *arguments: str | int | float) -> Any:
        return await self._redis.run(self._script(text, tenant, *arguments)) if self._redis else None

    def _script(self, text: str, tenant: str, *arguments: str | int | float) -> Script:
        owner = owner_of(tenant)
        keys = (f"backdrop:quota:{owner}:running", f"backdrop:quota:{owner}:work", self._index_key(owner))
        return Script(text, keys, arguments)
