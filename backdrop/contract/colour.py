"""Colours to sRGB: pictures of another ICC profile are converted first of all, so that receipts hold in sRGB."""

from __future__ import annotations

import enum
import io
from collections.abc import Callable

import numpy as np
from PIL import Image

_CLOSE = 2
"""Of 255: a profile whose colours lie nearer to sRGB's is sRGB; rounding must not change a picture."""
_GRID = np.array([round(255 * step / 8) for step in range(9)], np.uint8)
_MODES = {"RGB ": ("RGB", ("L", "LA", "RGB", "RGBA")), "GRAY": ("L", ("L", "LA")), "CMYK": ("CMYK", ("CMYK",))}
"""Colour spaces of profiles: the mode of their values, and of the pictures that they belong to."""

Convert = Callable[[Image.Image], Image.Image]
"""Makes a picture, or a strip of it, sRGB: RGB, with an alpha channel if it has one."""


class Conversion(enum.Enum):
    """What becomes of a profile."""

    NONE = "it is sRGB's"
    CONVERTED = "colours are converted"
    IGNORED = "it cannot be used"


def _as_is(image: Image.Image) -> Image.Image:
    return image


def srgb_conversion(profile: bytes | None, mode: str) -> tuple[Convert, Conversion]:
    """How pictures of `mode` (L, LA, RGB, RGBA or CMYK) with an ICC profile become sRGB; None cannot be used.

    Relative colorimetric with black point compensation, by Little CMS. Pictures stay as they are if the profile is
    sRGB's, damaged, or of another kind of picture.
    """
    if not profile:
        return _as_is, Conversion.IGNORED if profile is None else Conversion.NONE
    try:
        # Imported late: Pillow may be built without Little CMS, and most pictures have no profile.
        from PIL import ImageCms

        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        values, modes = _MODES[source.profile.xcolor_space]
        if mode not in modes:
            return _as_is, Conversion.IGNORED
        transform = ImageCms.buildTransform(
            source,
            ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
            values,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )

        def convert(image: Image.Image) -> Image.Image:
            colours = image.getchannel(0) if values == "L" else image.convert(values)
            converted = ImageCms.applyTransform(colours, transform)
            assert converted is not None, "not in place"
            if "A" in image.getbands():
                converted.putalpha(image.getchannel("A"))
            return converted

        close = values != "CMYK" and _changes_little(convert, values)
    except Exception:  # a stranger's profile fails in many ways; all mean the same here
        return _as_is, Conversion.IGNORED
    return (_as_is, Conversion.NONE) if close else (convert, Conversion.CONVERTED)


def _changes_little(convert: Convert, mode: str) -> bool:
    """Whether no colour of a grid changes by more than rounding."""
    if mode == "L":
        levels = np.arange(256, dtype=np.uint8)[None]
        grid, expected = Image.fromarray(levels), np.repeat(levels[..., None], 3, axis=2)
    else:
        expected = np.stack(np.meshgrid(_GRID, _GRID, _GRID, indexing="ij"), axis=-1).reshape(1, -1, 3)
        grid = Image.fromarray(expected)
    return bool(np.abs(np.asarray(convert(grid)).astype(np.int16) - expected).max() <= _CLOSE)
