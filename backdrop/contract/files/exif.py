"""The orientation of a picture, from EXIF or XMP; every other tag is skipped unread, whatever its type or value."""

from __future__ import annotations

import re
import struct

from PIL.Image import Transpose

UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
"""The turn or flip that makes a picture of each orientation upright."""
_TAG = 0x0112
# TIFF types of a single number that writers use for the orientation; anything else counts as none.
_FORMATS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}
_ENTRY = 12
_XMP = re.compile(rb"tiff:Orientation(?:=[\"']|>)\s*([1-8])\b")


def exif_orientation(exif: bytes) -> int:
    """The orientation 1 to 8 in an EXIF block, with or without its "Exif" prefix; 1 if it says none."""
    block = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None or len(block) < 8:
        return 1
    (start,) = struct.unpack_from(f"{order}I", block, 4)
    if start + 2 > len(block):
        return 1
    (count,) = struct.unpack_from(f"{order}H", block, start)
    # A directory that claims more entries than the block has room for is read as far as it goes.
    for place in range(start + 2, min(start + 2 + count * _ENTRY, len(block) - _ENTRY + 1), _ENTRY):
        tag, kind = struct.unpack_from(f"{order}HH", block, place)
        if tag == _TAG and kind in _FORMATS:
            (value,) = struct.unpack_from(f"{order}{_FORMATS[kind]}", block, place + 8)
            return value if 1 <= value <= 8 else 1
    return 1


def xmp_orientation(xmp: bytes) -> int:
    """The orientation in an XMP packet; 1 if it says none."""
    match = _XMP.search(xmp)
    return int(match[1]) if match else 1
