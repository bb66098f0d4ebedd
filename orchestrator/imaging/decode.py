"""Encoded pictures of strangers to arrays: everything that can be wrong with them is refused here, in words."""

from __future__ import annotations

import dataclasses
import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from backdrop.errors import BackdropError, Reason, error
from orchestrator.domain import Bytes

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_SIDE = 8192
MAX_BYTES = 16 << 20
# Modes that hold more than 8 bits a channel; Pillow's own conversion of them clips instead of scaling.
_DEEP = {"I;16", "I;16L", "I;16B", "I;16N", "I", "F"}


@dataclasses.dataclass(frozen=True)
class Photo:
    """A decoded product photo: `rgb` [H, W, 3]; `alpha` [H, W], or None when it is missing or fully opaque."""

    rgb: Bytes
    alpha: Bytes | None


def decode_photo(data: bytes, *, max_pixels: int, field: str = "product") -> Photo:
    """Decodes a product photo, upright, to 8-bit RGB and alpha.

    Raises:
        InvalidRequestError: not a whole, still PNG, JPEG or WebP, or too large; `field` is named.
    """
    image = _open(data, max_pixels, field)
    rgba = np.asarray(image.convert("RGBA"))
    alpha = rgba[..., 3]
    return Photo(np.ascontiguousarray(rgba[..., :3]), None if (alpha == 255).all() else np.ascontiguousarray(alpha))


def decode_mask(data: bytes, *, max_pixels: int, field: str = "mask") -> Bytes:
    """Decodes a mask to 8-bit grey [H, W], 255 = product. Its alpha channel, if any, is ignored.

    Raises:
        InvalidRequestError: not a whole, still PNG, JPEG or WebP, or too large; `field` is named.
    """
    return np.array(_open(data, max_pixels, field).convert("RGB").convert("L"))


def _open(data: bytes, max_pixels: int, field: str) -> Image.Image:
    if not data:
        raise _invalid(field, "is empty")
    if len(data) > MAX_BYTES:
        message = f"{field} is {len(data)} bytes; {MAX_BYTES} are allowed. Send a smaller or a compressed picture."
        raise error(Reason.PICTURE_TOO_LARGE, message, field=field)
    try:
        with warnings.catch_warnings():
            # Pillow only warns between once and twice its limit; our own limit below is the one that counts.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            _check_header(image, max_pixels, field)
            image.load()
            upright = ImageOps.exif_transpose(image)
            return _eight_bits(upright)
    except BackdropError:
        raise
    except Image.DecompressionBombError:
        raise _too_large(field, max_pixels) from None
    except UnidentifiedImageError:
        raise _invalid(field, "is not a PNG, JPEG or WebP picture") from None
    except Exception:  # Pillow's decoders raise whatever they like on hostile bytes; all of it means the same here
        raise _invalid(field, "is damaged or cut off; send the whole file") from None


def _check_header(image: Image.Image, max_pixels: int, field: str) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise _invalid(field, "has no pixels")
    if width * height > max_pixels or max(width, height) > MAX_SIDE:
        raise _too_large(field, max_pixels)
    if getattr(image, "n_frames", 1) > 1:
        raise _invalid(field, "is an animation; send a single frame")


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode not in _DEEP:
        return image
    deep = np.asarray(image).astype(np.int64)
    return Image.fromarray(np.clip(deep >> 8, 0, 255).astype(np.uint8))


def _invalid(field: str, what: str) -> BackdropError:
    reason = Reason.INVALID_MASK if field == "mask" else Reason.INVALID_PICTURE
    return error(reason, f"{field} {what}.", field=field)


def _too_large(field: str, max_pixels: int) -> BackdropError:
    return error(
        Reason.PICTURE_TOO_LARGE,
        f"{field} is larger than {max_pixels / 1e6:g} megapixels or {MAX_SIDE} pixels a side; send a smaller one.",
        field=field,
    )
