"""Runs every stage in order, each in its own process: `python -m training.all`. A stopped run resumes."""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys

from training.core.loop import start_logging

log = logging.getLogger(__name__)

STAGES = (
    ("training.data.shards",),
    ("training.encoders.tokenizer",),
    ("training.encoders.text_encoders",),
    ("training.encoders.t5",),
    ("training.encoders.vae",),
    ("training.encoders.vae", "--decoder"),
    ("training.encoders.upscaler",),
    ("training.encoded.latents", "--size", "128"),
    ("training.encoded.latents", "--size", "256"),
    ("training.judges.classifier",),
    ("training.encoders.uve",),
    ("training.encoders.image_encoder",),
    ("training.judges.segmenter",),
    ("training.judges.reward",),
    ("training.denoisers.base",),
    ("training.denoisers.inpaint",),
    ("training.denoisers.product",),
    ("training.denoisers.image_adapter",),
    ("training.denoisers.distil",),
    ("training.denoisers.brand",),
    ("training.denoisers.dit",),
    ("training.publish.assemble",),
)


def main() -> None:
    """Runs all stages, or those from `--start` on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--start", default=STAGES[0][0], help="module of the first stage to run (default: %(default)s)")
    arguments = parser.parse_args()
    start_logging()
    names = [stage[0] for stage in STAGES]
    for stage in STAGES[names.index(arguments.start) :]:
        log.info("%s", " ".join(stage))
        subprocess.run([sys.executable, "-m", *stage], check=True)  # noqa: S603 - the stages above, nothing from outside


if __name__ == "__main__":
    main()
