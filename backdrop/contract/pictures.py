"""Encoded pictures from untrusted callers to arrays; a faulty picture is refused, and the message names the fault."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import warnings
from collections.abc import Callable, Iterator

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from backdrop.contract.arrays import Bytes, blend, strips
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


# EXIF orientations that exchange width and height.
_TURNED = (5, 6, 7, 8)


@dataclasses.dataclass(frozen=True)
class Photo:
    """A decoded picture: `rgb` [H, W, 3]; `alpha` [H, W], or None when it is missing or fully opaque."""

    rgb: Bytes
    alpha: Bytes | None

    @property
    def size(self) -> Size:
        """Its size."""
        return Size(self.rgb.shape[1], self.rgb.shape[0])


def picture_size(data: bytes, *, max_pixels: int, field: str) -> Size:
    """The size of a picture once it is upright, from its header: nothing is decoded, so damaged pixels stay unseen.

    Raises:
        InvalidRequestError: not a still PNG, JPEG or WebP, or too large; `field` is named.
    """
    with _faults(field, max_pixels):
        image = _identified(data, max_pixels, field)
        width, height = image.size
        return Size(height, width) if _orientation(image, data) in _TURNED else Size(width, height)


def decode_photo(data: bytes, *, max_pixels: int, field: str) -> Photo:
    """Decodes a picture, upright, to 8-bit RGB and alpha.

    Raises:
        InvalidRequestError: not a whole, still PNG, JPEG or WebP, or too large; `field` is named.
    """
    image = _open(data, max_pixels, field)
    rgb = np.empty((image.height, image.width, 3), np.uint8)
    alpha = np.empty((image.height, image.width), np.uint8)
    for rows in strips(*alpha.shape):
        rgba = np.asarray(image.crop((0, rows.start, image.width, rows.stop)).convert("RGBA"))
        rgb[rows], alpha[rows] = rgba[..., :3], rgba[..., 3]
    return Photo(rgb, None if (alpha == 255).all() else alpha)


def decode_mask(data: bytes, *, max_pixels: int, field: str) -> Bytes:
    """Decodes a mask to 8-bit grey [H, W], whatever it marks. Its alpha channel, if any, is ignored.

    Raises:
        InvalidRequestError: not a whole, still PNG, JPEG or WebP, or too large; `field` is named.
    """
    image = _open(data, max_pixels, field)
    grey = np.empty((image.height, image.width), np.uint8)
    for rows in strips(*grey.shape):
        grey[rows] = np.asarray(image.crop((0, rows.start, image.width, rows.stop)).convert("RGB").convert("L"))
    return grey


def decode_style(
    conditioning: pb.Conditioning, *, max_pixels: int, resample: Callable[[Photo], Bytes] | None = None
) -> tuple[StylePicture, ...]:
    """Decodes the style pictures of a request: upright, square, all of one size.

    `resample` makes the square of a picture; the default is `style_pixels`.

    Raises:
        InvalidRequestError: one is not a whole, still PNG, JPEG or WebP, or too large; the field is named.
    """
    pictures = []
    for index, style in enumerate(conditioning.style_images):
        photo = decode_photo(style.image, max_pixels=max_pixels, field=f"conditioning.style_images[{index}].image")
        pixels = (resample or style_pixels)(photo)
        pictures.append(StylePicture(pixels, style.weight if style.HasField("weight") else 1.0))
    return tuple(pictures)


def style_pixels(photo: Photo) -> Bytes:
    """The middle square of a picture, resampled (Lanczos) to [256, 256, 3]; transparent parts lie over mid grey."""
    height, width = photo.rgb.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = np.s_[top : top + side, left : left + side]
    square = Photo(photo.rgb[middle], None if photo.alpha is None else photo.alpha[middle])
    return np.array(Image.fromarray(over_grey(square)).resize((STYLE_SIDE, STYLE_SIDE), Image.Resampling.LANCZOS))


def over_grey(photo: Photo) -> Bytes:
    """A picture [H, W, 3] whose transparent parts lie over mid grey."""
    rgb = np.ascontiguousarray(photo.rgb)
    return rgb if photo.alpha is None else blend(photo.alpha, rgb, _GREY)


def _open(data: bytes, max_pixels: int, field: str) -> Image.Image:
    with _faults(field, max_pixels):
        image = _identified(data, max_pixels, field)
        image.load()
        upright = ImageOps.exif_transpose(image)
        return _eight_bits(upright)


def _identified(data: bytes, max_pixels: int, field: str) -> Image.Image:
    """The picture after its header was read and checked."""
    if not data:
        raise _invalid(field, "is empty")
    if len(data) > MAX_PICTURE_BYTES:
        message = (
            f"{field} is {len(data)} bytes; {MAX_PICTURE_BYTES} are allowed. Send a smaller or a compressed picture."
        )
        raise error(Reason.PICTURE_TOO_LARGE, message, field=field)
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    _check_header(image, max_pixels, field)
    return image


@contextlib.contextmanager
def _faults(field: str, max_pixels: int) -> Iterator[None]:
    """Turns Pillow's exceptions into ours."""
    try:
        with warnings.catch_warnings():
            # Pillow only warns between once and twice its limit; our own limit is the one that counts.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            yield
    except BackdropError:
        raise
    except Image.DecompressionBombError:
        raise _too_large(field, max_pixels) from None
    except UnidentifiedImageError:
        raise _invalid(field, "is not a PNG, JPEG or WebP picture") from None
    except Exception:  # Pillow's decoders raise many kinds of errors on malformed bytes; all mean the same here
        raise _invalid(field, "is damaged or cut off; send the whole file") from None


def _orientation(image: Image.Image, data: bytes) -> int:
    """The EXIF orientation of a picture that is not loaded; 1 (upright) where there is none."""
    if image.format == "PNG" and "exif" not in image.info and (exif := _png_chunk(data, b"eXIf")):
        image.info["exif"] = exif
    # The method of PngImageFile would load the picture.
    value = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    return value if isinstance(value, int) else 1


def _png_chunk(data: bytes, kind: bytes) -> bytes:
    """The content of the first chunk of a kind, which may come after the pixels; empty if there is none."""
    place = 8
    while place + 8 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        if data[place + 4 : place + 8] == kind:
            return data[place + 8 : place + 8 + length]
        place += length + 12
    return b""


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
