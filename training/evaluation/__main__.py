"""`python -m training.evaluation`: measures the published weights, writes figures and sheets of pictures."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from pathlib import Path

import torch

from training.config import Config
from training.core import loop
from training.evaluation import best_of, brands, growth, judges, likeness, scenes, seam, sheets, style
from training.evaluation.context import Context
from training.evaluation.figures import Figure, update

log = logging.getLogger(__name__)

GROUPS: dict[str, Callable[[Context], list[Figure]]] = {
    "judges": judges.measure,
    "best": best_of.measure,
    "seam": seam.measure,
    "scenes": scenes.measure,
    "style": style.measure,
    "growth": growth.measure,
    "likeness": likeness.measure,
    "brand": brands.measure,
    "sheets": sheets.measure,
}


def main() -> None:
    """Measures the groups of `--only`, and writes the figures of each group at once."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluation", description=__doc__)
    parser.add_argument("--only", default=",".join(GROUPS), help="groups, comma-separated (default: %(default)s)")
    parser.add_argument("--count", type=int, default=100, help="pictures per figure (default: %(default)s)")
    parser.add_argument("--figures", type=Path, default=Path("docs/figures/models.json"), help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=2, help="threads of one torch operation (default: %(default)s)")
    arguments = parser.parse_args()
    loop.start_logging()
    torch.set_num_threads(arguments.threads)
    context = Context(Config(), arguments.count)
    for name in arguments.only.split(","):
        figures = GROUPS[name](context)
        for figure in figures:
            log.info("%s%s", figure, "" if figure.met() else "  MISSED")
        update(arguments.figures, figures, f"python -m training.evaluation --only {name} --count {arguments.count}")


if __name__ == "__main__":
    main()
