"""Measures what new weights cost a lonely request, against another checkout with its own, for docs/figures/models.json.

usage: python -m bench.lonely --before CHECKOUT [--turns N]

Both clusters run at once and answer in turns of one request. Nothing else may run meanwhile."""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

from bench import against_commit, checks
from bench.figures import Figure, at_most, commit
from bench.load import spread
from bench.requests import requests

AREA = "models"
STEPS = 20


def measure(before: Path, turns: int) -> list[Figure]:
    """The median of the latencies' ratios over so many turns."""
    source = requests("lonely", 0)
    with against_commit.both(before) as sides:
        for side in (sides.before, sides.after):
            side.lonely_s(source, STEPS)
        rounds = [*sides.turns(against_commit.LONELY, turns, lambda side: side.lonely_s(source, STEPS))]
    ratios = [one.after / one.before for one in rounds]
    seconds = statistics.median(one.after for one in rounds)
    note = f"{spread(ratios)}; {STEPS} guided steps, median {seconds:.2f} s; against {commit(before)}"
    name = "lonely request against the commit before, latency"
    command = "python -m bench.lonely --before CHECKOUT"
    return [Figure(name, round(statistics.median(ratios), 3), at_most(1.2), command, note)]


def main() -> int:
    """Measures the mark; the exit status is 1 when it is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.lonely", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", type=Path, required=True, metavar="CHECKOUT", help="the other side")
    parser.add_argument("--turns", type=int, default=24, help="requests of each side (default: 24)")
    arguments = parser.parse_args()
    return checks.run(AREA, ["lonely"], {"lonely": lambda: measure(arguments.before.resolve(), arguments.turns)})


if __name__ == "__main__":
    sys.exit(main())
