"""Pictures of the same prompts by an early and a late checkpoint; `denoisers.checkpoint_pairs` writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.config import Config


def path(config: Config, kind: str) -> Path:
    """The file of the first products of a kind of shard."""
    return config.paths.work / "shards" / f"checkpoints-{kind}.npy"


def load(config: Config, kind: str) -> NDArray[np.uint8] | None:
    """Pictures [2, N, H, W, 3]: early ones, late ones; None if there are none."""
    file = path(config, kind)
    return np.load(file, mmap_mode="r") if file.exists() else None
