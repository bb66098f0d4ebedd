"""The types that every reader of picture files returns and raises, and the limits that readers share."""

from __future__ import annotations

import dataclasses
import enum
import zlib
from collections.abc import Callable

MOST_METADATA = 4 << 20
"""Bytes of an unpacked colour profile; a longer one is not used."""
_MOST_TEXT = 1 << 18
"""Bytes of unpacked text that are searched for an orientation."""


class Fault(enum.Enum):
    """Why a picture is refused; the value ends a sentence that begins with the field."""

    EMPTY = "is empty"
    FORMAT = "is not a PNG, JPEG or WebP picture"
    DAMAGED = "is damaged or cut off; send the whole file"
    JPEG_KIND = "is a JPEG of 12 or 16 bits, or of a kind that hardly any program reads; save it as PNG"
    NO_PIXELS = "has no pixels"
    ANIMATION = "is an animation; send a single frame"
    HDR = "is an HDR picture (PQ or HLG); convert it to SDR"


class PictureError(Exception):
    """A picture cannot be read. It never leaves this package: callers get an InvalidRequestError."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.value)
        self.fault = fault


@dataclasses.dataclass(frozen=True, eq=False)
class Container:
    """A picture file taken apart."""

    size: tuple[int, int]
    """Width and height in the file, before it is turned."""
    assemble: Callable[[], bytes]
    """The file for the decoder: pixels alone where metadata can do harm. Raises PictureError if they are damaged."""
    orientation: int = 1
    """EXIF's, 1 to 8; 1 = upright. It is still to be applied."""
    turned: int = 1
    """The orientation that the SDK has applied already, to a PIL image."""
    profile: Callable[[], bytes | None] = lambda: b""
    """Unpacks the ICC profile of its colours: empty = sRGB, or not said; None = it cannot be unpacked. Raises
    PictureError if the picture is HDR."""
    more_pictures: bool = False
    """It holds further stills: a preview, a depth or gain map."""
    lossy: bool = False
    """Its values are those of a lossy codec."""
    depth: int = 8
    """Bits of a sample in the file."""
    transparent: tuple[int, ...] | None = None
    """The one transparent colour of a grey or RGB PNG, in samples of the file's depth."""


def unpack_text(packed: bytes) -> bytes:
    """The beginning of a packed text; empty if it is damaged."""
    try:
        return zlib.decompressobj().decompress(packed, _MOST_TEXT)
    except zlib.error:
        return b""


def unpack(packed: bytes) -> bytes | None:
    """Inflates a profile; None if it is damaged or larger than `MOST_METADATA`, which is never allocated."""
    inflater = zlib.decompressobj()
    try:
        data = inflater.decompress(packed, MOST_METADATA)
    except zlib.error:
        return None
    return data if inflater.eof else None
