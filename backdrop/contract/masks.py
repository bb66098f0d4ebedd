"""Masks: where each comes from, what it must mark, and how they are widened."""

from __future__ import annotations

import dataclasses
import enum

import numpy as np
from PIL import Image

from backdrop.contract.arrays import Bytes, strips
from backdrop.contract.canvas import Canvas, Kept, MaskSource
from backdrop.contract.files import Container
from backdrop.contract.geometry import Rect, Size
from backdrop.contract.mattes import CleanMatte, clean, looks_like_classes
from backdrop.contract.pictures import Photo, file_warnings, plain_mode
from backdrop.contract.raster import Raster, applied_orientation, read_raster, refusal
from backdrop.contract.request_warnings import RequestWarning, WarningReason, warning
from backdrop.errors import BackdropError, Reason, error
from backdrop.v1 import info_service_pb2 as info_pb

_COLOURFUL, _COLOURED_PART = 48, 0.01
"""A pixel whose channels differ by more has a colour; a mask of which more than this part is coloured is no mask."""


class MaskFault(enum.Enum):
    """Why a mask is refused; the value ends a sentence that begins with the field."""

    CLASSES = (
        "holds {top} as its largest value, as masks of class numbers do; 255 means marked. Multiply a mask of 0 and 1"
        " by 255"
    )
    IGNORED_CLASS = (
        "holds class numbers, with 255 for something else; send a mask of 0 and 255 for what is to be marked"
    )
    COLOURS = "is coloured; send it in grey, with 255 for what is marked and 0 for the rest"
    TRANSPARENT = (
        "has transparent parts that are not black, so it is not clear what it marks; send it in grey without an alpha"
        " channel"
    )
    SIZE = "is {mask} and the picture {picture}; both must have the same size"
    NOT_TURNED = (
        "is {mask} and the picture {picture} once its EXIF orientation {orientation} is applied; the mask seems to be"
        " made before that. Turn the mask too, or remove the orientation from the picture"
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Matte:
    """What a request says about where the product, or what is erased, is."""

    values: Bytes | None
    """[H, W], 255 = marked; None if the segmenter is to make it."""
    source: MaskSource
    warnings: tuple[RequestWarning, ...] = ()
    """What was corrected."""


def read_mask(data: bytes, photo: Photo, *, max_pixels: int, task: str, picture: str) -> Matte:
    """The mask that was sent with `task`, else the alpha channel of its field `picture`, else none; without residue.

    Raises:
        InvalidRequestError: the sent mask is no picture, too large, not of the upright picture's size, coloured, or
            holds class numbers; the field is named.
    """
    field, photo_field = f"{task}.mask", f"{task}.{picture}"
    if data:
        raster = read_raster(data, max_pixels=max_pixels, field=field)
        check_mask_size(Size(*raster.image.size), photo.size, photo.orientation, field)
        notes = (*file_warnings(raster.container, field), *_orientation_warnings(raster.container, photo, field))
        matte = clean(_grey(raster, field), lossy=raster.container.lossy)
        return Matte(matte.values, MaskSource.REQUEST, (*notes, *_clean_warnings(matte, field)))
    if photo.alpha is None:
        return Matte(None, MaskSource.SEGMENTER)
    matte = clean(photo.alpha, lossy=False)
    notes = _clean_warnings(matte, photo_field)
    if (matte.values == 255).all():
        return Matte(None, MaskSource.SEGMENTER, notes)
    return Matte(matte.values, MaskSource.ALPHA, notes)


def check_mask_size(mask: Size, picture: Size, orientation: int, field: str) -> None:
    """Raises InvalidRequestError for a mask of another size than the picture, whose EXIF `orientation` is applied."""
    if mask == picture:
        return
    turned = orientation >= 5 and (mask.width, mask.height) == (picture.height, picture.width)
    raise _refused(
        field,
        MaskFault.NOT_TURNED if turned else MaskFault.SIZE,
        mask=f"{mask.width}×{mask.height}",
        picture=f"{picture.width}×{picture.height}",
        orientation=orientation,
    )


def _grey(raster: Raster, field: str) -> Bytes:
    """The mask's values. Colour profiles do not apply: a mask holds degrees, not colours."""
    image, mode = raster.image, plain_mode(raster.image)
    if 0 < raster.largest < 256:
        raise _refused(field, MaskFault.CLASSES, top=f"{raster.largest} of 65535")
    values, coloured = np.empty((image.height, image.width), np.uint8), 0
    for rows in strips(*values.shape):
        strip = image.crop((0, rows.start, image.width, rows.stop)).convert(mode)
        values[rows] = np.asarray(strip.convert("L") if mode in ("L", "LA") else strip.convert("RGB").convert("L"))
        if mode not in ("L", "LA"):
            coloured += _coloured_pixels(strip.convert("RGB"))
        if "A" in strip.getbands():
            alpha = np.asarray(strip.getchannel("A"))
            if values[rows][alpha == 0].any():
                raise _refused(field, MaskFault.TRANSPARENT)
            # What is transparent marks nothing: the mask lies over black.
            values[rows] = (values[rows].astype(np.uint16) * alpha + 127) // 255
    if coloured > _COLOURED_PART * max(1, np.count_nonzero(values)):
        raise _refused(field, MaskFault.COLOURS)
    if looks_like_classes(values):
        top = int(values.max())
        raise _refused(field, MaskFault.IGNORED_CLASS if top == 255 else MaskFault.CLASSES, top=f"{top} of 255")
    return values


def _coloured_pixels(image: Image.Image) -> int:
    red, green, blue = (np.asarray(channel) for channel in image.split())
    spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    return int((spread > _COLOURFUL).sum())


def _orientation_warnings(mask: Container, photo: Photo, field: str) -> tuple[RequestWarning, ...]:
    """A warning if the photo was turned, the mask was not, and its size does not say whether it fits."""
    # A mask of 90° against its photo shows by its size, unless the photo is square; a flip never shows.
    unclear = photo.orientation > 1 and (photo.orientation < 5 or photo.size.width == photo.size.height)
    if not unclear or applied_orientation(mask) > 1:
        return ()
    what = (
        f"has no EXIF orientation and the picture has {photo.orientation}, which was applied; the mask is taken as made"
        " for the upright picture. If it was made before, turn it too"
    )
    return (warning(WarningReason.MASK_NOT_TURNED, field, what),)


def _clean_warnings(matte: CleanMatte, field: str) -> tuple[RequestWarning, ...]:
    notes = []
    if matte.residue:
        what = f"has faint residue away from what can be seen; {matte.residue} pixels of it were cleared"
        notes.append(warning(WarningReason.RESIDUE_CLEARED, field, what))
    if matte.snapped:
        what = "is nearly binary; nearly certain values were taken as certain"
        notes.append(warning(WarningReason.MASK_SNAPPED, field, what))
    return tuple(notes)


def _refused(field: str, fault: MaskFault, **values: object) -> BackdropError:
    return refusal(field, fault.value.format(**values))


def check_segmentable(mask: Bytes | None, pipeline: info_pb.Pipeline, field: str) -> None:
    """Raises InvalidRequestError when there is no mask and the pipeline has no segmenter that makes one."""
    if mask is None and not pipeline.has_segmenter:
        message = (
            f"pipeline {pipeline.name} has no segmenter; send {field}, or a picture with an alpha channel that shows "
            f"what is kept."
        )
        raise error(Reason.MISSING_FIELD, message, field=field)


def widened(mask: Bytes, pixels: int, columns: int | None = None) -> Bytes:
    """The mask's maximum [H, W] over a square of 2 · pixels + 1 pixels, or over 2 · columns + 1 columns of it."""
    across = pixels if columns is None else columns
    tall = np.pad(mask, ((pixels, pixels), (0, 0)))
    wide = np.pad(_running_maximum(tall, 0, pixels), ((0, 0), (across, across)))
    return _running_maximum(wide, 1, across)


def _running_maximum(padded: Bytes, axis: int, pixels: int) -> Bytes:
    """The maximum of 2 · pixels + 1 neighbours along an axis, which becomes 2 · pixels shorter."""
    # Doubling takes log2(span) passes; Pillow's MaxFilter takes minutes on large pictures.
    width, span = 1, 2 * pixels + 1
    values = np.moveaxis(padded, axis, 0)
    while width < span:
        step = min(width, span - width)
        values = np.maximum(values[:-step], values[step:])
        width += step
    return np.ascontiguousarray(np.moveaxis(values, 0, axis))


def check_marks(mask: Bytes, field: str) -> None:
    """Raises InvalidRequestError for a mask that marks nothing."""
    if not mask.any():
        message = f"{field}: the mask marks nothing; 255 means make new pixels, 0 keep."
        raise error(Reason.INVALID_MASK, message, field=field)


def check_product_marked(mask: Bytes, field: str) -> None:
    """Raises InvalidRequestError for a mask that marks no product."""
    if not mask.any():
        text = f"{field}: the mask marks no product; 255 means product, 0 anything else."
        raise error(Reason.INVALID_MASK, text, field=field)


def hole_canvas(picture: Bytes, hole: Bytes, field: str) -> Canvas:
    """The whole picture [H, W, 3] is known, except in the hole [H, W].

    Raises:
        InvalidRequestError: the hole, which came from `field`, covers the whole picture.
    """
    if hole.all():
        message = f"{field}: nothing of the picture is kept; mark less of it."
        raise error(Reason.INVALID_MASK, message, field=field)
    height, width = hole.shape
    kept = Kept(Rect(0, 0, width, height), unscaled=True, mask_source=MaskSource.REQUEST)
    return Canvas(picture, hole, kept, continues=True)
