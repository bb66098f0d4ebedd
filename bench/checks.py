"""The command line of areas whose figures are measured by name: measures, records after each check, prints verdicts."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console

from bench.figures import Figure, record

Check = Callable[[], list[Figure]]
console = Console(stderr=True, highlight=False)


def parse_names(command: str, description: str | None, names: Sequence[str], default: Sequence[str]) -> list[str]:
    """The names on the command line, or the default; an unknown one is refused."""
    parser = argparse.ArgumentParser(
        prog=command, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(names)}")
    chosen: list[str] = parser.parse_args().names or list(default)
    unknown = sorted(set(chosen) - set(names))
    if unknown:
        parser.error(f"no check is called {unknown[0]}; there are {', '.join(names)}")
    return chosen


def run(area: str, names: Sequence[str], checks: Mapping[str, Check]) -> int:
    """Runs the named checks; returns 1 if a mark is missed, else 0.

    Each check is recorded when it is done, so that an hour's work is not lost by what comes after it.
    """
    missed = 0
    for name in names:
        console.print(f"[bold]{name}[/bold] …")
        figures = checks[name]()
        record(area, *figures)
        for figure in figures:
            console.print(f"  {figure}", soft_wrap=True)
        missed += sum(not figure.met for figure in figures)
    return 1 if missed else 0
