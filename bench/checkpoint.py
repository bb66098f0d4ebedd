"""Measures the marks of serving anybody's checkpoint and writes them to docs/figures/checkpoint.json.

usage: python -m bench.checkpoint [NAME …]        (default: every check)
"""

from __future__ import annotations

import functools
import sys

from bench import adapter_cost, checks, export_time, oracle, served_folders

AREA = "checkpoint"
CHECKS: dict[str, checks.Check] = {
    "folders": served_folders.figures,
    "adapters": adapter_cost.figures,
    "keys": functools.partial(oracle.keys, "python -m bench.checkpoint keys"),
    "time": export_time.seconds,
    "weights": export_time.weights,
    "oracle": functools.partial(oracle.pictures, "python -m bench.checkpoint oracle"),
}


def main() -> int:
    """Measures the named marks; the exit status is 1 when one is missed."""
    names = checks.parse_names("python -m bench.checkpoint", __doc__, [*CHECKS], [*CHECKS])
    return checks.run(AREA, names, CHECKS)


if __name__ == "__main__":
    sys.exit(main())
