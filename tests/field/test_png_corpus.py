"""Every PNG that the specification allows decodes to what it says; files that it forbids are refused."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest

from backdrop.contract.pictures import decode_photo
from backdrop.errors import InvalidRequestError
from tests.field.files import PHOTO, PNG, chunk
from tests.field.png import Kind, kinds, make
from tests.pictures import encoded


@pytest.mark.row("png-transparency")
@pytest.mark.parametrize("kind", list(kinds()), ids=str)
def test_a_png_decodes_to_what_the_specification_says(kind: Kind) -> None:
    data, expected = make(kind)
    photo = decode_photo(data, max_pixels=10**6, field="background.product")
    alpha = np.full(expected.shape[:2], 255, np.uint8) if photo.alpha is None else photo.alpha
    assert np.array_equal(photo.rgb, expected[..., :3])
    assert np.array_equal(alpha, expected[..., 3])


def header(width: int = 4, height: int = 4, depth: int = 8, colour_type: int = 0, *rest: int) -> bytes:
    return struct.pack(">IIBBBBB", width, height, depth, colour_type, *(rest or (0, 0, 0)))


def png(ihdr: bytes, *chunks: bytes) -> bytes:
    rows = chunk(b"IDAT", zlib.compress((b"\0" + bytes(4)) * 4))
    return PNG + chunk(b"IHDR", ihdr) + b"".join(chunks or (rows,)) + chunk(b"IEND", b"")


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


WHOLE = png(header())
FORBIDDEN: dict[str, Callable[[], bytes]] = {
    "colour type 1": lambda: png(header(colour_type=1)),
    "colour type 9": lambda: png(header(colour_type=9)),
    "depth 0": lambda: png(header(depth=0)),
    "depth 3": lambda: png(header(depth=3)),
    "depth 99": lambda: png(header(depth=99)),
    "RGB of 4 bits": lambda: png(header(4, 4, 4, 2)),
    "palette of 16 bits": lambda: png(header(4, 4, 16, 3)),
    "interlace method 2": lambda: png(header(4, 4, 8, 0, 0, 0, 2)),
    "compression method 1": lambda: png(header(4, 4, 8, 0, 1, 0, 0)),
    "no pixels": lambda: png(header(), chunk(b"tEXt", b"a\0b")),
    "palette that is missing": lambda: png(header(colour_type=3), chunk(b"IDAT", b"")),
    "unknown critical chunk": lambda: png(header(), chunk(b"CgBI", b"\0" * 4), chunk(b"IDAT", b"")),
    "wrong sum of the header": lambda: flipped(WHOLE, 30),
    "wrong sum of the pixels": lambda: flipped(WHOLE, len(WHOLE) - 13),
    "carriage returns lost": lambda: WHOLE.replace(b"\r\n", b"\n", 1),
    "cut in the pixels": lambda: encoded(PHOTO)[:-40],
}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_a_png_that_the_specification_forbids_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequestError):
        decode_photo(FORBIDDEN[name](), max_pixels=10**6, field="background.product")


def test_the_file_that_they_are_made_from_is_whole() -> None:
    assert decode_photo(WHOLE, max_pixels=10**6, field="background.product").rgb.shape == (4, 4, 3)
