"""Limits of the contract that no setting changes, in the units of its fields."""

from __future__ import annotations

MIN_SIDE, MAX_SIDE = 64, 4096
"""Sides of a returned picture in pixels."""
MAX_PICTURE_SIDE = 8192
"""Sides of a sent picture in pixels."""
MAX_PICTURE_BYTES = 16 << 20
"""Encoded size of a sent picture."""
MAX_GUIDANCE = 20.0
MAX_IMAGE_SCALE = 2.0
MAX_STYLE_WEIGHT = 10.0
MAX_ADAPTER_WEIGHT = 5.0
"""Of either sign. Beyond 2 most LoRAs spoil pictures, but those trained as sliders are used up to 5."""
MAX_STYLE_IMAGES = 4
MAX_PRODUCTS = 8
"""Of one scene."""
MAX_LAYOUTS = 8
"""Of one request."""
MAX_COLOURS = 10
"""Of a palette."""
MIN_PLACED = 4
"""Pixels of the longer side of a product that is made smaller."""
MAX_PADDING = 0.45
"""As a fraction of the picture's shorter side."""
MAX_FREE = 0.9
"""Padding and margins of two opposite sides, in the same unit."""
DEFAULT_STRENGTH = 0.6
"""Of tasks whose noise starts from a picture."""
MAX_GROW = 64
"""Pixels by which a mask may be widened."""
MAX_BAND, MAX_SOFT = 64, 16
"""Pixels of a product's border that may change: by relight, and by a soft border, whose pixels cost more work."""
MAX_PREVIEW_EVERY = 1000
MAX_DROPPING_ROUNDS = 8
MAX_LCM_STEPS = 50
MAX_SEED = 2**63 - 1
MAX_KEY_CHARACTERS = 128
"""Length of an idempotency key."""
