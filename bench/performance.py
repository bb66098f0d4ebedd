"""Measures the marks of performance round by round and writes them to docs/figures/performance.json.

usage: python -m bench.performance [MEASUREMENT …] [--rounds N] [--minutes M] [--quick] [--fresh] [--publish]

Every round is kept in bench/results/ when it is done, and a later run continues from there. `--quick` measures less and
once, and publishes nothing; `--publish` measures nothing and publishes the rounds on disk.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.arms.pool import ArmPool
from bench.figures import Figure, record
from bench.measure.base import AREA, Measurement
from bench.measure.cache import CACHE
from bench.measure.crowd import JOIN, LEAST, SHORT
from bench.measure.depth import DEPTH
from bench.measure.exactness import EXACT
from bench.measure.lonely import LONELY, PREVIEW
from bench.measure.mixed import BURST, MIXED
from bench.measure.proposed import PROPOSED
from bench.measure.replicas import REPLICAS
from bench.measure.savers import EARLY_DROPPING, GUIDANCE_WINDOW
from bench.measure.sweep import SWEEPS
from bench.measure.tax import TAX
from bench.measure.throughput import THROUGHPUT
from bench.rounds import RESULTS, origin

# The settings and rounds of each are of its own types, which only its own functions see.
MEASUREMENTS: dict[str, Measurement[Any, Any]] = {
    one.name: one
    for one in (
        EXACT, THROUGHPUT, LONELY, PREVIEW, CACHE, JOIN, LEAST, SHORT, TAX, BURST, MIXED, *SWEEPS,
        DEPTH, PROPOSED, REPLICAS, GUIDANCE_WINDOW, EARLY_DROPPING,
    )
}  # fmt: skip
console = Console(stderr=True, highlight=False)


@dataclasses.dataclass(frozen=True)
class Limits:
    """How much is measured.

    Attributes:
        rounds: there should be in the end; None = each measurement's own number.
        until: no round begins after this moment (time.monotonic).
        quick: whether less is measured.
        fresh: whether earlier rounds are forgotten.
        folder: where rounds are kept.
    """

    rounds: int | None
    until: float
    quick: bool
    fresh: bool
    folder: Path


async def run(names: Sequence[str], limits: Limits) -> list[Figure]:
    """Measures, and returns what all rounds so far say."""
    figures: list[Figure] = []
    async with ArmPool() as pool:
        for name in names:
            figures += await _measure(MEASUREMENTS[name], pool, limits)
    return figures


async def _measure(one: Measurement[Any, Any], pool: ArmPool, limits: Limits) -> list[Figure]:
    settings = one.settings_of(quick=limits.quick)
    rounds = one.kept(quick=limits.quick, folder=limits.folder)
    if limits.fresh:
        rounds.clear()
    count = limits.rounds or one.rounds
    while len(rounds.done) < count and time.monotonic() < limits.until:
        begin = time.monotonic()
        rounds.add(await one.measure(pool, len(rounds.done), settings))
        console.print(f"{one.name}: round {len(rounds.done)} of {count}, {time.monotonic() - begin:.0f} s")
    return one.figures(rounds.done, settings) if rounds.done else []


def publish(names: Sequence[str]) -> list[Figure]:
    """Records what the rounds on disk say, with the machine and commit of those rounds; measures nothing."""
    every = []
    for name in names:
        if figures := MEASUREMENTS[name].published():
            record(AREA, *figures, origin=origin(name))
            every += figures
    return every


def main() -> int:
    """Measures the named measurements, or all; the exit status is 1 when a mark is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.performance", description=__doc__)
    parser.add_argument(
        "names", nargs="*", choices=[*MEASUREMENTS, []], metavar="MEASUREMENT", help=", ".join(MEASUREMENTS)
    )
    parser.add_argument("--rounds", type=int, help="how many rounds there should be in the end (default: 5)")
    parser.add_argument("--minutes", type=float, default=1e6, help="begin no round after so many minutes")
    parser.add_argument("--quick", action="store_true", help="less of everything, one round, nothing published")
    parser.add_argument("--fresh", action="store_true", help="forget earlier rounds")
    parser.add_argument("--publish", action="store_true", help="measure nothing; publish the rounds on disk")
    arguments = parser.parse_args()
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    quick, until = arguments.quick, time.monotonic() + 60 * arguments.minutes
    names = arguments.names or [name for name, one in MEASUREMENTS.items() if one.quick or not quick]
    if arguments.publish:
        figures = publish(names)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            folder, rounds = (Path(scratch), arguments.rounds or 1) if quick else (RESULTS, arguments.rounds)
            figures = asyncio.run(run(names, Limits(rounds, until, quick, arguments.fresh, folder)))
        if not quick:
            record(AREA, *figures)
    for figure in figures:
        console.print(str(figure))
    return 0 if all(figure.met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
