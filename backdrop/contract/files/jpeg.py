"""JPEG files: the segments before the pixels. The first picture is read; what follows it in the file is not looked at.

Segments of the decoder's business are kept (tables, frames, Adobe's and JFIF's). All other application segments and
comments are left out: EXIF, XMP, ICC and the index of multi-picture files (MPF) are read here or not at all.
"""

from __future__ import annotations

from backdrop.contract.files.container import MOST_METADATA, Container, Fault, PictureError
from backdrop.contract.files.exif import exif_orientation, xmp_orientation

_APP0, _APP1, _APP2, _APP14, _APP15, _COMMENT = 0xE0, 0xE1, 0xE2, 0xEE, 0xEF, 0xFE
_START_OF_SCAN, _END = 0xDA, 0xD9
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""Markers of the segment that says a picture's size."""
_UNREAD = {*range(0xC5, 0xC8), 0xCB, *range(0xCD, 0xD0)}
"""Those of hierarchical pictures, and of lossless ones with arithmetic coding."""
_BITS = 8
_ALONE = {0x01, *range(0xD0, 0xD9)}
"""Markers without a segment."""
_EXIF, _XMP, _ICC, _MPF = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0", b"MPF\0"


def read_jpeg(data: bytes) -> Container:
    """Takes a JPEG file apart.

    Raises:
        PictureError: it ends before its pixels begin, or the decoder cannot read its kind.
    """
    view, size, place = memoryview(data), (0, 0), 2
    kept = [view[:2]]
    metadata: list[tuple[int, bytes]] = []
    while True:
        # Bytes between segments are skipped, as libjpeg does.
        place = data.find(b"\xff", place)
        if place < 0 or place + 4 > len(data):
            raise PictureError(Fault.DAMAGED)
        marker = data[place + 1]
        if marker == _START_OF_SCAN:
            kept.append(view[place:])
            return _container(size, kept, metadata)
        if marker in (0x00, 0xFF) or marker in _ALONE:
            place += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        end = place + 2 + length
        if marker == _END or length < 2 or end > len(data):
            raise PictureError(Fault.DAMAGED)
        if marker == _COMMENT or (_APP0 < marker <= _APP15 and marker != _APP14):
            metadata.append((marker, data[place + 4 : end]))
        else:
            kept.append(view[place:end])
        if marker in _FRAMES and length >= 7:
            if marker in _UNREAD or data[place + 4] != _BITS:
                raise PictureError(Fault.JPEG_KIND)
            size = (
                int.from_bytes(data[place + 7 : place + 9], "big"),
                int.from_bytes(data[place + 5 : place + 7], "big"),
            )
        place = end


def _container(size: tuple[int, int], kept: list[memoryview], metadata: list[tuple[int, bytes]]) -> Container:
    def bodies(marker: int, prefix: bytes) -> list[bytes]:
        return [body[len(prefix) :] for kind, body in metadata if kind == marker and body.startswith(prefix)]

    exif, xmp = bodies(_APP1, _EXIF), bodies(_APP1, _XMP)
    orientation = exif_orientation(exif[0]) if exif else 1
    if orientation == 1 and xmp:
        orientation = xmp_orientation(xmp[0])
    parts = bodies(_APP2, _ICC)
    return Container(
        size,
        lambda: b"".join(kept),
        orientation=orientation,
        profile=lambda: _joined(parts) if parts else b"",
        more_pictures=bool(bodies(_APP2, _MPF)),
        lossy=True,
    )


def _joined(parts: list[bytes]) -> bytes | None:
    """A profile from its numbered segments; None if one of them is missing, or it is too long."""
    numbered = sorted((part[:2], part[2:]) for part in parts if len(part) > 2)
    numbers = [int(number[0]) for number, _ in numbered]
    if not numbered or numbers != list(range(1, numbered[0][0][1] + 1)):
        return None
    profile = b"".join(body for _, body in numbered)
    return profile if len(profile) <= MOST_METADATA else None
