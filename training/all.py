"""Runs every stage in order, each in its own process: `python -m training.all`. Stages resume, so it may be stopped."""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys

from training.loop import start_logging

log = logging.getLogger(__name__)

STAGES = (
    ("training.shards",),
    ("training.tokenizer",),
    ("training.text_encoders",),
    ("training.t5",),
    ("training.vae",),
    ("training.vae", "--decoder"),
    ("training.latents", "--size", "128"),
    ("training.latents", "--size", "256"),
    ("training.classifier",),
    ("training.uve",),
    ("training.image_encoder",),
    ("training.segmenter",),
    ("training.reward",),
    ("training.base",),
    ("training.stage1",),
    ("training.stage2",),
    ("training.image_adapter",),
    ("training.distil",),
    ("training.brand",),
    ("training.dit",),
    ("training.assemble",),
)


def main() -> None:
    """Runs the stages, from one on if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--start", default=STAGES[0][0], help="the stage to start with")
    arguments = parser.parse_args()
    start_logging()
    names = [stage[0] for stage in STAGES]
    for stage in STAGES[names.index(arguments.start) :]:
        log.info("%s", " ".join(stage))
        subprocess.run([sys.executable, "-m", *stage], check=True)  # noqa: S603 - the stages above, nothing from outside


if __name__ == "__main__":
    main()
