"""The array type of pictures and masks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
"""8-bit pictures [H, W, 3] and masks [H, W], as callers send and receive them."""
