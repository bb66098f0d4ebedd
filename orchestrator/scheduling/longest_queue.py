"""Which request makes room in a full queue: one of the tenant that holds the largest part of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from orchestrator.scheduling.fair_queue import Q
from orchestrator.scheduling.request import ScheduledRequest


def displaced_by(
    request: ScheduledRequest, waiting: Iterable[Q], share: Callable[[ScheduledRequest], float]
) -> Q | None:
    """The newest entry of the tenant with the largest part of the queue; None if `request` must be refused instead.

    Its class is that of the request or a lower one. The request's own tenant must hold less, the request included.

    Args:
        request: the newcomer; it may be in the queue already.
        waiting: the queue, by arrival.
        share: the part of the queue that a request takes.
    """
    entries = list(waiting)
    shares = {request.tenant: share(request)}
    for each in entries:
        if each.request is not request:
            shares[each.request.tenant] = shares.get(each.request.tenant, 0.0) + share(each.request)
    own = shares.pop(request.tenant)
    for tenant in sorted(shares, key=lambda tenant: -shares[tenant]):
        if shares[tenant] <= own:
            return None
        of_tenant = (each for each in reversed(entries) if each.request.tenant == tenant)
        newest = next((each for each in of_tenant if each.request.priority >= request.priority), None)
        if newest is not None:
            return newest
    return None
