"""Encoded pictures of strangers to upright 8-bit rasters; what cannot be read is refused, and the fault named."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

from backdrop.contract.arrays import strips
from backdrop.contract.files import Container, Fault, PictureError, read_container
from backdrop.contract.files.exif import UPRIGHT
from backdrop.contract.geometry import Size
from backdrop.contract.limits import MAX_PICTURE_BYTES, MAX_PICTURE_SIDE
from backdrop.errors import BackdropError, Reason, error

FORMATS = ("PNG", "JPEG", "WEBP")
Samples = npt.NDArray[np.unsignedinteger[Any]]
_EXCHANGED = 5
"""The first EXIF orientation that exchanges width and height."""


@dataclasses.dataclass(frozen=True)
class Header:
    """What a picture's header says."""

    size: Size
    """Upright."""
    orientation: int
    """EXIF's, 1 to 8, which is or was applied."""


@dataclasses.dataclass(frozen=True, eq=False)
class Raster:
    """A decoded picture, and what its file says."""

    image: Image.Image
    """Upright, 8 bits a channel, of mode 1, L, LA, P, RGB, RGBA or CMYK; one transparent colour is an alpha channel."""
    container: Container
    largest: int
    """The largest grey value at the file's depth, for grey pictures of 16 bits; else 0."""
    profile: bytes | None
    """ICC profile of its colours: empty = sRGB, None = it cannot be unpacked."""


def read_header(data: bytes, *, max_pixels: int, field: str) -> Header:
    """Reads a picture's header: nothing is decoded or copied, so damaged pixels stay unseen.

    Raises:
        InvalidRequestError: no still PNG, JPEG or WebP, or too large; `field` is named.
    """
    container = _container(data, max_pixels, field)
    width, height = container.size
    turned = container.orientation >= _EXCHANGED
    return Header(Size(height, width) if turned else Size(width, height), applied_orientation(container))


def read_raster(data: bytes, *, max_pixels: int, field: str) -> Raster:
    """Decodes a picture, upright.

    Raises:
        InvalidRequestError: not a whole, still PNG, JPEG or WebP, or too large; `field` is named.
    """
    container = _container(data, max_pixels, field)
    with _faults(field):
        image = Image.open(io.BytesIO(container.assemble()), formats=FORMATS)
        if image.size != container.size:
            raise PictureError(Fault.DAMAGED)
        whole, largest = _decode(image, container)
        turn = UPRIGHT.get(container.orientation)
        upright = whole if turn is None else whole.transpose(turn)
        return Raster(upright, container, largest, container.profile())


def applied_orientation(container: Container) -> int:
    """The orientation that is applied to the picture here, or was by the SDK."""
    return max(container.orientation, container.turned)


def refusal(field: str, what: str) -> BackdropError:
    """The error that says about the picture or mask `field` that it `what`."""
    reason = Reason.INVALID_MASK if field.endswith("mask") else Reason.INVALID_PICTURE
    return error(reason, f"{field} {what}.", field=field)


def _container(data: bytes, max_pixels: int, field: str) -> Container:
    """The file taken apart, its size allowed."""
    if not data:
        raise refusal(field, Fault.EMPTY.value)
    if len(data) > MAX_PICTURE_BYTES:
        message = (
            f"{field} is {len(data)} bytes; {MAX_PICTURE_BYTES} are allowed. Send a smaller or a compressed picture."
        )
        raise error(Reason.PICTURE_TOO_LARGE, message, field=field)
    with _faults(field):
        container = read_container(data)
    width, height = container.size
    if width < 1 or height < 1:
        raise refusal(field, Fault.NO_PIXELS.value)
    if width * height > max_pixels or max(width, height) > MAX_PICTURE_SIDE:
        bounds = f"{max_pixels / 1e6:g} megapixels or {MAX_PICTURE_SIDE} pixels a side"
        raise error(Reason.PICTURE_TOO_LARGE, f"{field} is larger than {bounds}; send a smaller one.", field=field)
    return container


@contextlib.contextmanager
def _faults(field: str) -> Iterator[None]:
    """Turns exceptions of readers and decoders into ours."""
    try:
        with warnings.catch_warnings():
            # Pillow only warns between once and twice its limit; our own limit is the one that counts.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            yield
    except PictureError as problem:
        raise refusal(field, problem.fault.value) from None
    except Exception:  # Pillow's decoders raise many kinds of errors on malformed bytes; all mean the same here
        raise refusal(field, Fault.DAMAGED.value) from None


def _decode(image: ImageFile.ImageFile, container: Container) -> tuple[Image.Image, int]:
    """The pixels at 8 bits, and the largest value of a deep grey picture. The high byte of 16 bits is taken."""
    image.load()
    if image.mode.startswith("I;16"):
        deep = np.asarray(image)
        grey = Image.fromarray((deep >> 8).astype(np.uint8))
        return (grey if container.transparent is None else _with_alpha(grey, [deep], container)), int(deep.max())
    if container.transparent is None:
        return image, 0
    samples = [np.asarray(image.convert("L") if image.mode == "1" else image)]
    if image.mode == "RGB" and container.depth == 16:
        samples.append(_low_bytes(container))
    return _with_alpha(image, samples, container), 0


def _low_bytes(container: Container) -> npt.NDArray[np.uint8]:
    """The low bytes [H, W, 3] of a 16-bit RGB PNG, which Pillow drops: it reads them if it is told the other order."""
    other = Image.open(io.BytesIO(container.assemble()), formats=("PNG",))
    other.tile = [tile._replace(args="RGB;16L") for tile in other.tile]
    other.load()
    return np.asarray(other)


def _with_alpha(image: Image.Image, samples: list[Samples], container: Container) -> Image.Image:
    """The picture with an alpha channel that is 0 where its samples are those of the transparent colour.

    Grey is compared at the depth of `samples`; 16 bits of RGB are two samples, the high and the low bytes.
    """
    colour = np.array(container.transparent)
    if len(samples) == 2:
        colours = [colour >> 8, colour & 255]
    else:
        colours = [colour if container.depth == 16 else colour * 255 // ((1 << container.depth) - 1)]
    alpha = np.full((image.height, image.width), 255, np.uint8)
    for rows in strips(*alpha.shape):
        same = [
            part[rows].reshape(-1, image.width, len(each)) == each for part, each in zip(samples, colours, strict=True)
        ]
        alpha[rows][np.logical_and.reduce([part.all(axis=2) for part in same])] = 0
    whole = image.convert("RGB" if len(colour) == 3 else "L")
    whole.putalpha(Image.fromarray(alpha))
    return whole
