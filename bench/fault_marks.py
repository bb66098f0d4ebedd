"""Marks of faults that are injected into real processes: Tritons, links, Redis, load, callers, rollouts, hours."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import statistics
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from bench import soaking
from bench.emulated.costs import Cost
from bench.figures import Figure, at_least, at_most, reported
from tests.faults import leavers, replicas, repository, shared_cache
from tests.faults import overload as overloads
from tests.faults import rollouts as rolling
from tests.faults.load import Tally
from tests.faults.site import Plan, Site

_QUOTED = 3
_LONG_STEP = Cost(50.0, 1.0)
"""A step that takes much longer than a cancel's way to the server."""


@contextlib.asynccontextmanager
async def site(
    *,
    reference: bool = False,
    tritons: int = 2,
    orchestrators: int = 1,
    settings: Mapping[str, str] | None = None,
    cost: Cost = repository.QUICK,
) -> AsyncIterator[Site]:
    """A site in a temporary folder; with `reference` it serves the reference models, else models that take time."""
    with tempfile.TemporaryDirectory(prefix="backdrop-faults-") as name:
        folder = Path(name)
        write = repository.write_reference if reference else functools.partial(repository.write_quick, cost=cost)
        plan = Plan(write(folder / "repository"), folder, tritons, orchestrators, settings=settings or {})
        async with Site(plan) as running:
            yield running


def kills(command: str, count: int) -> list[Figure]:
    """Tritons killed in the middle of pictures of the reference models."""

    async def measure() -> replicas.ReplicaReport:
        async with site(reference=True) as running:
            return await replicas.kills(running, count)

    report = asyncio.run(measure())
    spread = f"{count} kills, {report.hits} calls hit, {report.tally.made} pictures"
    return [
        _failed("kills of a Triton: requests failed", report.tally, command, spread),
        Figure("kills of a Triton: pictures whose bytes differ", report.tally.differing, at_most(0), command, spread),
        Figure("kills of a Triton: most steps that a request made again", report.redone, at_most(1), command, spread),
    ]


def hangs(command: str, count: int) -> list[Figure]:
    """Tritons stopped by SIGSTOP."""

    async def measure() -> replicas.ReplicaReport:
        async with site(reference=True, settings=replicas.SETTINGS) as running:
            return await replicas.hangs(running, count)

    report = asyncio.run(measure())
    spread = f"{count} stops, {report.tally.made} pictures"
    share = round(report.added_s / replicas.STEP_TIMEOUT_S, 3)
    return [
        _failed("SIGSTOP of a Triton: requests failed", report.tally, command, spread),
        Figure("SIGSTOP of a Triton: pictures whose bytes differ", report.tally.differing, at_most(0), command, spread),
        Figure("SIGSTOP of a Triton: longest added delay ÷ step timeout", share, at_most(1.1), command, spread),
        Figure(
            "SIGSTOP of a Triton: seconds until ejected", round(max(report.out_s), 3), at_most(2), command,
            _slowest(report.out_s),
        ),
        Figure(
            "SIGSTOP of a Triton: seconds until used again after SIGCONT", round(max(report.back_s), 3),
            reported("lower"), command, _slowest(report.back_s),
        ),
    ]  # fmt: skip


def _slowest(seconds: tuple[float, ...]) -> str:
    """How far the times of single faults differ."""
    return f"slowest of {len(seconds)}; median {statistics.median(seconds):.2f} s"


def links(command: str, count: int) -> list[Figure]:
    """Links to a Triton half opened, reset, and answering garbage."""

    async def measure() -> dict[str, replicas.ReplicaReport]:
        async with site(settings=replicas.SETTINGS) as running:
            return {
                "half open": await replicas.half_open(running, count),
                "reset": await replicas.resets(running, count),
                "garbage": await replicas.garbage(running, count),
            }

    reports = asyncio.run(measure())
    failed = [problem for report in reports.values() for problem in report.tally.failed]
    spread = f"{count} of each: {', '.join(reports)}; {sum(r.tally.made for r in reports.values())} pictures"
    differing = sum(report.tally.differing for report in reports.values())
    back = max(reports["half open"].back_s)
    mark = at_most(0, "; ".join(map(str, failed[:_QUOTED])))
    return [
        Figure("bad links to a Triton: requests failed", len(failed), mark, command, spread),
        Figure("bad links to a Triton: pictures whose bytes differ", differing, at_most(0), command, spread),
        Figure(
            "a half-open link to a Triton: seconds until it is used again", round(back, 2), at_most(10), command, spread
        ),
    ]


def redis(command: str, count: int) -> list[Figure]:
    """Redis in every bad state, `count` requests in each."""

    async def measure() -> dict[str, shared_cache.CacheReport]:
        async with site(tritons=1) as running:
            faults = shared_cache.FAULTS.items()
            return {name: await shared_cache.disturbed(running, fault, count) for name, fault in faults}

    reports = asyncio.run(measure())
    failed = [f"{name}: {problem}" for name, report in reports.items() for problem in report.failed]
    spread = ", ".join(f"{name} {report.added_ms:+.1f}" for name, report in reports.items())
    worst = max(report.added_ms for report in reports.values())
    back = max(report.back_s for report in reports.values())
    each = f"{count} requests in each of {len(reports)} faults"
    mark = at_most(0, "; ".join(failed[:_QUOTED]))
    return [
        Figure("bad Redis: requests failed", len(failed), mark, command, each),
        Figure("bad Redis: ms added to a request at the median", round(worst, 1), at_most(20), command, spread),
        Figure("bad Redis: seconds until it is used again", round(back, 2), at_most(5), command, each),
    ]


def overload(command: str, count: int) -> list[Figure]:
    """Arrivals at three times the capacity for `count` seconds."""

    async def measure() -> overloads.OverloadReport:
        async with site(tritons=1, settings=overloads.SETTINGS) as running:
            return await overloads.overload(running, count)

    report = asyncio.run(measure())
    spread = f"{count} s at {overloads.FACTOR:g} × {report.peak:.1f} a second, {len(report.refused_ms)} refused"
    wrong = len(report.failed) + report.silent
    mark = at_most(0, "; ".join(report.failed[:_QUOTED]))
    return [
        Figure("overload at 3 × capacity: goodput ÷ peak", round(report.share, 3), at_least(0.9), command, spread),
        Figure("overload at 3 × capacity: refusals' p99, ms", round(report.p99_ms, 1), at_most(50), command, spread),
        Figure("overload at 3 × capacity: other errors, refusals without a time", wrong, mark, command, spread),
    ]


def cancels(command: str, count: int) -> list[Figure]:
    """`count` callers who leave at random moments."""

    async def measure() -> leavers.LeaverReport:
        async with site(cost=_LONG_STEP) as running:
            return await leavers.leave(running, count)

    report = asyncio.run(measure())
    spread = f"{report.cancels} left; before {report.before}; after {report.after}"
    rows = round(report.most_rows, 2)
    name = "cancels at random moments: steps computed after the server was told that a caller left"
    return [
        Figure(name, rows, at_most(1), command, f"most of all groups of {leavers.GROUP}, a mean over the group"),
        Figure(
            "cancels at random moments: tasks, descriptors and regions that stay", report.remaining, at_most(0),
            command, spread,
        ),
    ]  # fmt: skip


def rollouts(command: str, count: int) -> list[Figure]:
    """Every Triton and orchestrator restarted `count` times."""

    async def measure() -> rolling.RolloutReport:
        async with site(orchestrators=2) as running:
            return await rolling.rollouts(running, count)

    report = asyncio.run(measure())
    spread = f"{report.restarts} restarts, {report.tally.made} pictures"
    return [_failed("rolling restarts: requests failed", report.tally, command, spread)]


def soak(command: str, count: int) -> list[Figure]:
    """Mixed tasks, cancels, dead clients and rolling restarts for `count` seconds."""

    async def measure() -> soaking.SoakReport:
        async with site(reference=True, orchestrators=2, settings=soaking.SETTINGS) as running:
            return await soaking.soak(running, count)

    return soaking.figures(asyncio.run(measure()), command)


def _failed(name: str, tally: Tally, command: str, spread: str) -> Figure:
    mark = at_most(0, "; ".join(str(problem) for problem in tally.failed[:_QUOTED]))
    return Figure(name, len(tally.failed), mark, command, spread)
