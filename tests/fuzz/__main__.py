"""Fuzzes targets in turn, each in a process of its own, and goes on where it was stopped.

usage: python -m tests.fuzz [--minutes N] [--keep] [TARGET …]

Inputs that reach something new are kept in .backdrop/fuzz/corpus/, those that fail in .backdrop/fuzz/failures/. The
counts of all runs are in .backdrop/fuzz/state.json. `--keep` copies the smallest inputs that reach everything to
tests/fuzz/corpus/, which the suite replays.
"""

from __future__ import annotations

import argparse
import os
import sys

from tests.fuzz import registry
from tests.fuzz.turns import keep, run


def main() -> int:
    """Returns 1 if an input failed."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="TARGET", help=f"any of {', '.join(registry.ALL)}")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--keep", action="store_true")
    arguments = parser.parse_args()
    names = arguments.names or [
        *registry.PARSERS,
        *registry.SERVERS,
        *(registry.CLUSTER if "BACKDROP_FUZZ_ENDPOINT" in os.environ else ()),
    ]
    if arguments.keep:
        for name in names:
            keep(name)
        return 0
    state = run(names, arguments.minutes)
    executions, failures = (sum(getattr(each, key) for each in state.values()) for key in ("executions", "failures"))
    sys.stdout.write(f"{executions} executions, {failures} failures\n")
    return 1 if any(each.failures for each in state.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
