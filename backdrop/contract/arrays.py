"""The kind of array that pictures and masks are held in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
"""What callers send and get: [H, W, 3] or [H, W] in 0…255."""
