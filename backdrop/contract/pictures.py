"""Encoded pictures from untrusted callers to arrays in sRGB; what was converted on the way is said in warnings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Protocol

import numpy as np
from PIL import Image

from backdrop.contract.arrays import Bytes, blend, strips
from backdrop.contract.colour import Conversion, srgb_conversion
from backdrop.contract.files import Container
from backdrop.contract.geometry import Size
from backdrop.contract.parts import StylePicture
from backdrop.contract.raster import applied_orientation, read_raster
from backdrop.contract.request_warnings import RequestWarning, WarningReason, warning
from backdrop.v1 import generation_service_pb2 as pb

STYLE_SIDE = 256
# Neither light nor dark: transparent parts should affect the look as little as possible.
_GREY = 128
StyleReading = tuple[tuple[StylePicture, ...], tuple[RequestWarning, ...]]
"""Style pictures, and what was converted in them."""


@dataclasses.dataclass(frozen=True, eq=False)
class Photo:
    """A decoded picture: `rgb` [H, W, 3] in sRGB; `alpha` [H, W], or None when it is missing or fully opaque."""

    rgb: Bytes
    alpha: Bytes | None
    orientation: int = 1
    """EXIF's, which was applied: 1 to 8."""
    warnings: tuple[RequestWarning, ...] = ()
    """What was converted."""

    @property
    def size(self) -> Size:
        """Its size."""
        return Size(self.rgb.shape[1], self.rgb.shape[0])


def decode_photo(data: bytes, *, max_pixels: int, field: str) -> Photo:
    """Decodes a picture, upright, to 8-bit sRGB and alpha.

    Raises:
        InvalidRequestError: not a whole, still PNG, JPEG or WebP, or too large; `field` is named.
    """
    raster = read_raster(data, max_pixels=max_pixels, field=field)
    image, container = raster.image, raster.container
    mode = plain_mode(image)
    convert, conversion = srgb_conversion(raster.profile, mode)
    rgb = np.empty((image.height, image.width, 3), np.uint8)
    alpha = np.empty((image.height, image.width), np.uint8)
    for rows in strips(*alpha.shape):
        strip = image.crop((0, rows.start, image.width, rows.stop)).convert(mode)
        rgba = np.asarray(convert(strip).convert("RGBA"))
        rgb[rows], alpha[rows] = rgba[..., :3], rgba[..., 3]
    notes = (*file_warnings(container, field), *_colour_warnings(conversion, field))
    return Photo(rgb, None if (alpha == 255).all() else alpha, applied_orientation(container), notes)


class Decode(Protocol):
    """A function like `decode_photo`."""

    def __call__(self, data: bytes, *, max_pixels: int, field: str) -> Photo: ...


def plain_mode(image: Image.Image) -> str:
    """The mode of a raster without a palette and single bits."""
    if image.mode == "P":
        return "RGBA" if image.has_transparency_data else "RGB"
    return "L" if image.mode == "1" else image.mode


def file_warnings(container: Container, field: str) -> tuple[RequestWarning, ...]:
    """What of a file was not used."""
    notes = []
    if container.more_pictures:
        what = "holds several pictures; the first one is used"
        notes.append(warning(WarningReason.FIRST_PICTURE_TAKEN, field, what))
    if container.depth > 8:
        what = f"has {container.depth} bits a channel; the upper 8 are used"
        notes.append(warning(WarningReason.DEPTH_REDUCED, field, what))
    return tuple(notes)


def alpha_warnings(photo: Photo, field: str) -> tuple[RequestWarning, ...]:
    """A warning if a picture has an alpha channel; for where it is not used."""
    if photo.alpha is None:
        return ()
    return (warning(WarningReason.ALPHA_IGNORED, field, "has an alpha channel, which is not used"),)


def _colour_warnings(conversion: Conversion, field: str) -> tuple[RequestWarning, ...]:
    if conversion is Conversion.CONVERTED:
        what = "has another colour profile than sRGB; its colours were converted to sRGB"
        return (warning(WarningReason.PROFILE_CONVERTED, field, what),)
    if conversion is Conversion.IGNORED:
        what = "has a colour profile that cannot be used; its colours are taken as sRGB"
        return (warning(WarningReason.PROFILE_IGNORED, field, what),)
    return ()


def decode_style(
    conditioning: pb.Conditioning,
    *,
    max_pixels: int,
    resample: Callable[[Photo], Bytes] | None = None,
    decode: Decode = decode_photo,
) -> StyleReading:
    """Decodes the style pictures of a request: upright, square, all of one size; and what was converted.

    `resample` makes the square of a picture; the default is `style_pixels`. `decode` is what decodes.

    Raises:
        InvalidRequestError: one is not a whole, still PNG, JPEG or WebP, or too large; the field is named.
    """
    pictures: list[StylePicture] = []
    notes: list[RequestWarning] = []
    for index, style in enumerate(conditioning.style_images):
        photo = decode(style.image, max_pixels=max_pixels, field=f"conditioning.style_images[{index}].image")
        pixels = (resample or style_pixels)(photo)
        pictures.append(StylePicture(pixels, style.weight if style.HasField("weight") else 1.0))
        notes += photo.warnings
    return tuple(pictures), tuple(notes)


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
