"""Encoded pictures from untrusted callers to arrays; a faulty picture is refused, and the message names the fault."""

from __future__ import annotations

import dataclasses
import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from backdrop.contract.arrays import Bytes
from backdrop.contract.geometry import Size
from backdrop.contract.limits import MAX_PICTURE_BYTES, MAX_PICTURE_SIDE
from backdrop.contract.parts import StylePicture
from backdrop.errors import BackdropError, Reason, error
from backdrop.v1 import generation_service_pb2 as pb

FORMATS = ("PNG", "JPEG", "WEBP")
STYLE_SIDE = 256
# Neither light nor dark: transparent parts should affect the look as little as possible.
_GREY = 128
# Modes that hold more than 8 bits a channel; Pillow's own conversion of them clips instead of scaling.
_DEEP = {"I;16", "I;16L", "I;16B", "I;16N", "I", "F"}


@dataclasses.dataclass(frozen=True)
class Photo:
    """A decoded picture: `rgb` [H, W, 3]; `alpha` [H, W], or None when it is missing or fully opaque."""

    rgb: Bytes
    alpha: Bytes | None

    @property
    def size(self) -> Size:
        """Its size."""
        return Size(self.rgb.shape[1], self.rgb.shape[0])


def decode_photo(data: bytes, *, max_pixels: int, field: str) -> Photo:
    """Decodes a picture, upright, to 8-bit RGB and alpha.

    Raises:
        InvalidRequestError: not a whole, still PNG, JPEG or WebP, or too large; `field` is named.
    """
    image = _open(data, max_pixels, field)
    rgba = np.asarray(image.convert("RGBA"))
    alpha = rgba[..., 3]
    return Photo(np.ascontiguousarray(rgba[..., :3]), None if (alpha == 255).all() else np.ascontiguousarray(alpha))


def decode_mask(data: bytes, *, max_pixels: int, field: str) -> Bytes:
    """Decodes a mask to 8-bit grey [H, W], whatever it marks. Its alpha channel, if any, is ignored.

    Raises:
        InvalidRequestError: not a whole, still PNG, JPEG or WebP, or too large; `field` is named.
    """
    return np.array(_open(data, max_pixels, field).convert("RGB").convert("L"))


def decode_style(conditioning: pb.Conditioning, *, max_pixels: int) -> tuple[StylePicture, ...]:
    """Decodes the style pictures of a request: upright, square, all of one size.

    Raises:
        InvalidRequestError: one is not a whole, still PNG, JPEG or WebP, or too large; the field is named.
    """
    pictures = []
    for index, style in enumerate(conditioning.style_images):
        photo = decode_photo(style.image, max_pixels=max_pixels, field=f"conditioning.style_images[{index}].image")
        pictures.append(StylePicture(style_pixels(photo), style.weight if style.HasField("weight") else 1.0))
    return tuple(pictures)


def style_pixels(photo: Photo) -> Bytes:
    """The middle square of a picture, resampled (Lanczos) to [256, 256, 3]; transparent parts lie over mid grey."""
    rgb = photo.rgb
    if photo.alpha is not None:
        alpha = photo.alpha[..., None].astype(np.uint16)
        rgb = ((alpha * rgb + (255 - alpha) * _GREY + 127) // 255).astype(np.uint8)
    height, width = rgb.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = np.ascontiguousarray(rgb[top : top + side, left : left + side])
    return np.array(Image.fromarray(square).resize((STYLE_SIDE, STYLE_SIDE), Image.Resampling.LANCZOS))


def _open(data: bytes, max_pixels: int, field: str) -> Image.Image:
    if not data:
        raise _invalid(field, "is empty")
    if len(data) > MAX_PICTURE_BYTES:
        message = (
            f"{field} is {len(data)} bytes; {MAX_PICTURE_BYTES} are allowed. Send a smaller or a compressed picture."
        )
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
    except Exception:  # Pillow's decoders raise many kinds of errors on malformed bytes; all mean the same here
        raise _invalid(field, "is damaged or cut off; send the whole file") from None


def _check_header(image: Image.Image, max_pixels: int, field: str) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise _invalid(field, "has no pixels")
    if width * height > max_pixels or max(width, height) > MAX_PICTURE_SIDE:
        raise _too_large(field, max_pixels)
    if getattr(image, "n_frames", 1) > 1:
        raise _invalid(field, "is an animation; send a single frame")


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode not in _DEEP:
        return image
    deep = np.asarray(image).astype(np.int64)
    return Image.fromarray(np.clip(deep >> 8, 0, 255).astype(np.uint8))


def _invalid(field: str, what: str) -> BackdropError:
    reason = Reason.INVALID_MASK if field.endswith("mask") else Reason.INVALID_PICTURE
    return error(reason, f"{field} {what}.", field=field)


def _too_large(field: str, max_pixels: int) -> BackdropError:
    bounds = f"{max_pixels / 1e6:g} megapixels or {MAX_PICTURE_SIDE} pixels a side"
    return error(Reason.PICTURE_TOO_LARGE, f"{field} is larger than {bounds}; send a smaller one.", field=field)
