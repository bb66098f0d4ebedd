"""Surroundings: low-rank updates on stage 1, trained with borders and holes alone, mostly without a caption.

They teach the denoiser to read from the known part what belongs beside it. They are the task adapter of expand and
erase (docs/decisions/0047-surroundings-adapter.md).
"""

from __future__ import annotations

from training.config import Config
from training.core import loop
from training.denoisers import task_adapter
from training.encoded import samples

STAGE = "surroundings"


def train(config: Config) -> None:
    """Trains the updates."""
    task_adapter.train(config, STAGE, config.diffusion.surroundings, samples.Source.surroundings)


if __name__ == "__main__":
    loop.run_stage(__doc__, train)
