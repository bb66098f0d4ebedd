"""WebP files: their chunks. Pillow keeps WebP's metadata as bytes, so the decoder gets the file as it is."""

from __future__ import annotations

from backdrop.contract.files.container import Container, Fault, PictureError
from backdrop.contract.files.exif import exif_orientation, xmp_orientation


def read_webp(data: bytes) -> Container:
    """Takes a WebP file apart.

    Raises:
        PictureError: it is an animation of several frames.
    """
    chunks: dict[bytes, bytes] = {}
    frames, place, end = 0, 12, min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    while place + 8 <= end:
        kind, length = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "little")
        frames += kind == b"ANMF"
        if kind in (b"ICCP", b"EXIF", b"XMP "):
            chunks.setdefault(kind, data[place + 8 : place + 8 + length])
        elif kind in (b"VP8X", b"VP8L", b"VP8 "):
            chunks.setdefault(kind, data[place + 8 : place + 18])
        place += 8 + length + length % 2
    if frames > 1:
        raise PictureError(Fault.ANIMATION)
    orientation = exif_orientation(chunks.get(b"EXIF", b""))
    if orientation == 1:
        orientation = xmp_orientation(chunks.get(b"XMP ", b""))
    return Container(
        _size(chunks),
        lambda: data,
        orientation=orientation,
        profile=lambda: chunks.get(b"ICCP", b""),
        lossy=b"VP8 " in chunks,
    )


def _size(chunks: dict[bytes, bytes]) -> tuple[int, int]:
    """Width and height, from the first header that says them (RFC 9649)."""
    if len(head := chunks.get(b"VP8X", b"")) == 10:
        return 1 + int.from_bytes(head[4:7], "little"), 1 + int.from_bytes(head[7:10], "little")
    if len(head := chunks.get(b"VP8L", b"")) >= 5:
        bits = int.from_bytes(head[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if len(head := chunks.get(b"VP8 ", b"")) == 10:
        return int.from_bytes(head[6:8], "little") & 0x3FFF, int.from_bytes(head[8:10], "little") & 0x3FFF
    raise PictureError(Fault.DAMAGED)
