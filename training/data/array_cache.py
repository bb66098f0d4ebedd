"""Arrays that are slow to compute: computed once, saved in a file, memory-mapped afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def cached_array(path: Path, compute: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """The array in the file `path`, computed first if the file is missing; a stop leaves no partial file."""
    if not path.exists():
        staging = path.with_suffix(".tmp.npy")
        np.save(staging, compute())
        staging.rename(path)
    array: NDArray[Any] = np.load(path, mmap_mode="r")
    return array
