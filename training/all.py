"""Runs every stage in order: `python -m training.all`. A stopped run resumes.

With `--minutes` the stages share a limit of time, by their weights in `STAGES`; a stage that is done earlier leaves its
time to those after it.
"""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch

from training.config import Config
from training.core import loop
from training.data import shards
from training.denoisers import (
    base,
    brand,
    checkpoint_pairs,
    distil,
    dit,
    image_adapter,
    inpaint,
    product,
    surroundings,
)
from training.encoded import latents
from training.encoders import decoder, image_encoder, t5, text_encoders, tokenizer, upscaler, uve, vae
from training.judges import classifier, product_judge, reward, segmenter
from training.publish import assemble

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """A stage by name, and its weight when stages share a limit of time; without weight it always runs to its end."""

    name: str
    run: Callable[[Config], object]
    weight: float = 0.0


STAGES = (
    Stage("shards", shards.run),
    Stage("tokenizer", tokenizer.train),
    Stage("text_encoders", text_encoders.train, 20),
    Stage("t5", t5.train, 15),
    Stage("vae", vae.train, 110),
    Stage("decoder", decoder.train, 50),
    Stage("upscaler", upscaler.train, 15),
    Stage("latents_128", partial(latents.run, size=128)),
    Stage("latents_256", partial(latents.run, size=256)),
    Stage("classifier", classifier.train, 12),
    Stage("product_judge", product_judge.train, 10),
    Stage("uve", uve.train, 15),
    Stage("image_encoder", image_encoder.train, 12),
    Stage("segmenter", segmenter.train, 15),
    Stage("base", base.train, 80),
    Stage("stage1", inpaint.train, 70),
    Stage("stage2", product.train, 20),
    Stage("checkpoint_pairs", checkpoint_pairs.run),
    Stage("reward", reward.train, 20),
    Stage("surroundings", surroundings.train, 20),
    Stage("image_adapter", image_adapter.train, 20),
    Stage("distil", distil.train, 20),
    Stage("brand", brand.train, 8),
    Stage("dit", dit.train, 60),
    Stage("assemble", assemble.write),
)
NAMES = tuple(stage.name for stage in STAGES)


def run(config: Config, seconds: float = 0.0, first: str = NAMES[0], last: str = NAMES[-1]) -> None:
    """Runs the stages from `first` to `last`, within `seconds` if that is not 0."""
    began = time.monotonic()
    stages = STAGES[NAMES.index(first) : NAMES.index(last) + 1]
    for n, stage in enumerate(stages):
        allowed = 0.0
        if seconds and stage.weight:
            # The last half minute belongs to the stages without weight.
            rest = max(seconds - 30 - (time.monotonic() - began), 1.0)
            allowed = rest * stage.weight / sum(later.weight for later in stages[n:])
        log.info("%s%s", stage.name, f", at most {allowed:.0f} s" if allowed else "")
        stage.run(replace(config, seconds=allowed))
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def main() -> None:
    """Reads the command line and runs the stages."""
    parser = loop.stage_parser(__doc__)
    parser.add_argument("--start", default=NAMES[0], choices=NAMES, help="the first stage (default: %(default)s)")
    parser.add_argument("--end", default=NAMES[-1], choices=NAMES, help="the last stage (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=0.0, help="wall-clock limit of all stages; 0 is none")
    arguments = parser.parse_args()
    run(loop.chosen_config(arguments), arguments.minutes * 60, arguments.start, arguments.end)


if __name__ == "__main__":
    main()
