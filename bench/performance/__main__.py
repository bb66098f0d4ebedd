"""Measures performance on this machine and writes docs/figures/performance.json.

usage: python -m bench.performance [FIGURE …]        (default: all, in half an hour on two idle cores)
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from bench.figures import record
from bench.performance.figures import FIGURES

AREA = "performance"


def main() -> int:
    """Measures what is asked for; returns 1 if a mark is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.performance", description=__doc__)
    parser.add_argument("figures", nargs="*", choices=[*FIGURES, []], metavar="FIGURE", help=", ".join(FIGURES))
    missed = 0
    for name in parser.parse_args().figures or list(FIGURES):
        found = asyncio.run(FIGURES[name]())
        # After each: what takes minutes should not be lost by what comes after it.
        record(AREA, *found)
        for figure in found:
            verdict = "met" if figure.met else "missed"
            sys.stdout.write(f"{figure.name}: {figure.value:g} ({verdict}: {figure.mark:g}; {figure.spread})\n")
        missed += sum(not figure.met for figure in found)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
