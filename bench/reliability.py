"""Measures the marks of identity, quotas, faults, input and leaks, and writes them to docs/figures/reliability.json.

usage: python -m bench.reliability [NAME …] [--count N]        (default: every check)

Without a count, faults are injected at full length: some hours, on a machine that has nothing else to do.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable

from bench import (
    checks,
    fault_marks,
    field_rows,
    identity_cells,
    reliability_decoding,
    reliability_fuzz,
    reliability_images,
    reliability_keys,
    reliability_secrets,
    reliability_shares,
    rotation,
)
from bench.figures import Figure
from tests.faults.promises import PROMISES

AREA = "reliability"


def command(name: str) -> str:
    """What measures the mark again."""
    return f"python -m bench.reliability {name}"


def promises() -> list[Figure]:
    """The promises that no test shows or that one contradicts."""
    return [field_rows.wrong("promise", PROMISES, "promises of reliability that are not shown", command("promises"))]


CHECKS: dict[str, checks.Check] = {
    "decoding": functools.partial(reliability_decoding.decoding, command("decoding")),
    "fuzz": functools.partial(reliability_fuzz.fuzz, command("fuzz")),
    "identity": functools.partial(identity_cells.figure, command("identity")),
    "rotation": functools.partial(rotation.figure, command("rotation")),
    "shares": functools.partial(reliability_shares.shares, command("shares")),
    "keys": functools.partial(reliability_keys.keys, command("keys")),
    "images": functools.partial(reliability_images.images, command("images")),
    "secrets": functools.partial(reliability_secrets.secrets, command("secrets")),
    "promises": promises,
}

FAULTS: dict[str, tuple[Callable[[str, int], list[Figure]], int]] = {
    "kills": (fault_marks.kills, 100),
    "hangs": (fault_marks.hangs, 20),
    "links": (fault_marks.links, 10),
    "redis": (fault_marks.redis, 200),
    "overload": (fault_marks.overload, 300),
    "cancels": (fault_marks.cancels, 10_000),
    "rollouts": (fault_marks.rollouts, 5),
    "soak": (fault_marks.soak, 3600),
}
"""Checks that take a count, each with its full one: faults, requests of each fault, seconds, callers, or rounds."""


def main() -> int:
    """Measures the named marks; the exit status is 1 when one is missed."""
    every = [*CHECKS, *FAULTS]
    parser = argparse.ArgumentParser(prog="python -m bench.reliability", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(every)}")
    parser.add_argument("--count", type=int, help=f"instead of the full one, of {', '.join(FAULTS)}")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(every))
    if unknown:
        parser.error(f"no check is called {unknown[0]}; there are {', '.join(every)}")
    return checks.run(
        AREA, arguments.names or every, CHECKS | {name: _counted(name, arguments.count) for name in FAULTS}
    )


def _counted(name: str, count: int | None) -> checks.Check:
    measure, full = FAULTS[name]
    return lambda: measure(command(name) + (f" --count {count}" if count else ""), count or full)


if __name__ == "__main__":
    sys.exit(main())
