"""Arrays that take a while to make: made once, kept beside the shards, read from disk as needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def kept(path: Path, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """The array at `path`, made first where it is not there; a stop while it is being made leaves nothing behind."""
    if not path.exists():
        staging = path.with_suffix(".tmp.npy")
        np.save(staging, make())
        staging.rename(path)
    array: NDArray[Any] = np.load(path, mmap_mode="r")
    return array
