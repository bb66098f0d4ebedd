"""The two kinds of arrays that pictures are held in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from backdrop.contract.arrays import Bytes

__all__ = ["Bytes", "Floats"]

Floats = npt.NDArray[np.float32]
"""What models read and write; pictures are [3, H, W] in −1…1."""
