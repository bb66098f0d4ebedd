"""`python -m training.evaluation`: measures the published weights, writes figures and sheets of pictures."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from training.core import loop
from training.evaluation import best_of, brands, detail, growth, judges, likeness, scenes, seam, sheets, style
from training.evaluation.context import Context
from training.evaluation.figures import Figure, update

log = logging.getLogger(__name__)

GROUPS: dict[str, Callable[[Context], list[Figure]]] = {
    "judges": judges.measure,
    "best": best_of.measure,
    "autoencoder": detail.autoencoder,
    "seam": seam.measure,
    "scenes": scenes.measure,
    "style": style.measure,
    "growth": growth.measure,
    "sharpness": detail.sharpness,
    "likeness": likeness.measure,
    "brand": brands.measure,
    "sheets": sheets.measure,
}


def main() -> None:
    """Measures the groups of `--only`, and writes the figures of each group at once."""
    parser = loop.stage_parser(__doc__)
    parser.prog = "python -m training.evaluation"
    parser.add_argument("--only", default=",".join(GROUPS), help="groups, comma-separated (default: %(default)s)")
    parser.add_argument("--count", type=int, default=100, help="pictures per figure (default: %(default)s)")
    parser.add_argument("--figures", type=Path, default=Path("docs/figures/models.json"), help="default: %(default)s")
    arguments = parser.parse_args()
    context = Context(loop.chosen_config(arguments), arguments.count)
    for name in arguments.only.split(","):
        figures = GROUPS[name](context)
        for figure in figures:
            log.info("%s%s", figure, "" if figure.met() else "  MISSED")
        update(arguments.figures, figures, f"python -m training.evaluation --only {name} --count {arguments.count}")


if __name__ == "__main__":
    main()
