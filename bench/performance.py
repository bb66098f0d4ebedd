"""Measures the marks of performance round by round and writes them to docs/figures/performance.json.

usage: python -m bench.performance [MEASUREMENT …] [--rounds N] [--minutes M] [--quick] [--fresh]

Every round is kept in bench/results/ when it is done, and a later run goes on from there. `--quick` measures less and
once, and publishes nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import logging
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from bench import why
from bench.arms.company import Company
from bench.figures import Figure, record
from bench.measure.base import AREA, Measurement
from bench.measure.cache import CACHE
from bench.measure.crowd import JOIN, LEAST, SHORT
from bench.measure.depth import DEPTH
from bench.measure.exact import EXACT
from bench.measure.lonely import LONELY, PREVIEW
from bench.measure.mixed import BURST, MIXED
from bench.measure.proposed import PROPOSED
from bench.measure.replicas import REPLICAS
from bench.measure.savers import EARLY_DROPPING, GUIDANCE_WINDOW
from bench.measure.sweep import SWEEPS
from bench.measure.tax import TAX
from bench.measure.throughput import THROUGHPUT
from bench.rounds import RESULTS, Rounds

MEASUREMENTS = {
    one.name: one
    for one in (
        EXACT, THROUGHPUT, LONELY, PREVIEW, CACHE, JOIN, LEAST, SHORT, TAX, BURST, MIXED, *SWEEPS,
        DEPTH, PROPOSED, REPLICAS, GUIDANCE_WINDOW, EARLY_DROPPING,
    )
}  # fmt: skip
console = Console(stderr=True, highlight=False)


@dataclasses.dataclass(frozen=True)
class Plan:
    """How much is measured; `rounds` None is each measurement's own number, `until` is in time.monotonic seconds."""

    rounds: int | None
    until: float
    quick: bool
    fresh: bool
    folder: Path


async def run(names: list[str], plan: Plan) -> list[Figure]:
    """Measures, and returns what all rounds so far say."""
    found: list[Figure] = []
    async with Company() as company:
        for name in names:
            found += await _measure(MEASUREMENTS[name], company, plan)
    return found


async def _measure(one: Measurement, company: Company, plan: Plan) -> list[Figure]:
    settings = one.quick if plan.quick and one.quick is not None else one.settings
    rounds = Rounds(one.name, settings, plan.folder)
    if plan.fresh:
        rounds.clear()
    wanted = plan.rounds or one.rounds
    while len(rounds.done) < wanted and time.monotonic() < plan.until:
        begin = time.monotonic()
        rounds.add(await one.measure(company, len(rounds.done), settings))
        console.print(f"{one.name}: round {len(rounds.done)} of {wanted}, {time.monotonic() - begin:.0f} s")
    return one.figures(rounds.done, settings) if rounds.done else []


def main() -> int:
    """Measures what is named, or everything; the exit status is 1 when a mark is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.performance", description=__doc__)
    known = ", ".join(MEASUREMENTS)
    parser.add_argument("names", nargs="*", choices=[*MEASUREMENTS, []], metavar="MEASUREMENT", help=known)
    parser.add_argument("--rounds", type=int, help="how many rounds there should be in the end (default: 5)")
    parser.add_argument("--minutes", type=float, default=1e6, help="begin no round after so many minutes")
    parser.add_argument("--quick", action="store_true", help="less of everything, one round, nothing published")
    parser.add_argument("--fresh", action="store_true", help="forget earlier rounds")
    given = parser.parse_args()
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    until = time.monotonic() + 60 * given.minutes
    with tempfile.TemporaryDirectory() as scratch:
        folder, rounds = (Path(scratch), given.rounds or 1) if given.quick else (RESULTS, given.rounds)
        names = given.names or [name for name, one in MEASUREMENTS.items() if one.quick or not given.quick]
        plan = Plan(rounds, until, given.quick, given.fresh, folder)
        figures = [why.told(one) for one in asyncio.run(run(names, plan))]
    if not given.quick:
        record(AREA, *figures)
    for one in figures:
        verdict = "" if one.mark is None else f" (mark {one.mark:g}) {'ok' if one.met else 'MISSED'}"
        console.print(f"{one.name}: {one.value:g}{verdict}; {one.spread}")
    return 0 if all(one.met for one in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
