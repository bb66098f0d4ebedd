"""What a picture file holds besides its pixels, read by ourselves, so that no decoder meets a stranger's metadata."""

from backdrop.contract.files.container import Container, Fault, PictureError
from backdrop.contract.files.jpeg import read_jpeg
from backdrop.contract.files.png import read_png
from backdrop.contract.files.webp import read_webp

_READERS = (
    (b"\x89PNG\r\n\x1a\n", 0, read_png),
    (b"\xff\xd8\xff", 0, read_jpeg),
    (b"WEBP", 8, read_webp),
)
"""Signature, its place in the file, and what reads such files."""


def read_container(data: bytes) -> Container:
    """What the file `data` holds besides its pixels.

    Raises:
        PictureError: it is no PNG, JPEG or WebP, or its structure is broken.
    """
    for signature, start, read in _READERS:
        if data[start : start + len(signature)] == signature:
            return read(data)
    raise PictureError(Fault.FORMAT)


__all__ = ["Container", "Fault", "PictureError", "read_container"]
