"""Measures the marks of identity, quotas, faults, input and leaks, and writes them to docs/figures/reliability.json.

usage: python -m bench.reliability [NAME …]        (default: every check)
"""

from __future__ import annotations

import functools
import sys

from bench import (
    checks,
    identity_cells,
    reliability_fuzz,
    reliability_keys,
    reliability_secrets,
    reliability_shares,
    rotation,
)

AREA = "reliability"


def command(name: str) -> str:
    """What measures the mark again."""
    return f"python -m bench.reliability {name}"


CHECKS: dict[str, checks.Check] = {
    "fuzz": functools.partial(reliability_fuzz.fuzz, command("fuzz")),
    "identity": functools.partial(identity_cells.figure, command("identity")),
    "rotation": functools.partial(rotation.figure, command("rotation")),
    "shares": functools.partial(reliability_shares.shares, command("shares")),
    "keys": functools.partial(reliability_keys.keys, command("keys")),
    "secrets": functools.partial(reliability_secrets.secrets, command("secrets")),
}


def main() -> int:
    """Measures the named marks; the exit status is 1 when one is missed."""
    names = checks.parse_names("python -m bench.reliability", __doc__, [*CHECKS], [*CHECKS])
    return checks.run(AREA, names, CHECKS)


if __name__ == "__main__":
    sys.exit(main())
