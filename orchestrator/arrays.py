"""The two kinds of arrays that pictures are held in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
"""What models read and write; pictures are [3, H, W] in −1…1."""
Bytes = npt.NDArray[np.uint8]
"""What callers send and get: [H, W, 3] or [H, W] in 0…255."""
