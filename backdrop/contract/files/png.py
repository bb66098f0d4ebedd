"""PNG files: their chunks (W3C PNG, third edition). The decoder gets the critical ones; the others are read here.

Text is skipped, packed or not, unless it holds EXIF or XMP. An animation (APNG) of several frames is refused; a file
with one frame is a still.
"""

from __future__ import annotations

import dataclasses
import struct
import zlib
from collections.abc import Iterator

from backdrop.contract.files.container import Container, Fault, PictureError, unpack, unpack_text
from backdrop.contract.files.exif import exif_orientation, xmp_orientation
from backdrop.contract.files.icc import coded_profile, measured_profile

_SIGNATURE = 8
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""Bits of a sample that each colour type may have."""
_GREY, _RGB, _PALETTE = 0, 2, 3
TURNED = b"bdOr"
"""A private chunk of one byte: the EXIF orientation that the SDK applied before it sent the picture."""
_MOST_CHUNK = 4 << 20
"""Bytes of metadata that are looked at; packed metadata that is longer counts as damaged."""
_RAW_EXIF = b"Raw profile type exif"
_XMP = b"XML:com.adobe.xmp"


@dataclasses.dataclass(frozen=True)
class _Header:
    colour_type: int
    depth: int


def read_png(data: bytes) -> Container:
    """Takes a PNG file apart.

    Raises:
        PictureError: its structure is broken, it is an animation, or HDR.
    """
    chunks: dict[bytes, bytes] = {}
    pixels: list[memoryview] = []
    frame_of_pixels = False
    for kind, content in _chunks(memoryview(data)):
        if kind == b"IDAT":
            pixels.append(content)
            continue
        body = bytes(content[:_MOST_CHUNK])
        if kind in (b"iTXt", b"tEXt", b"zTXt"):
            if body.startswith((_RAW_EXIF + b"\0", _XMP + b"\0")):
                chunks.setdefault(body.partition(b"\0")[0], kind + body)
        elif not (pixels and kind in (b"PLTE", b"tRNS", b"iCCP", b"cICP", b"gAMA", b"cHRM", b"sRGB", b"acTL")):
            # After the pixels these say nothing, by the specification.
            frame_of_pixels |= kind == b"fcTL" and not pixels
            chunks.setdefault(kind, body)
    size, header = _header(chunks)
    if not pixels:
        raise PictureError(Fault.DAMAGED)
    frames = int.from_bytes(chunks.get(b"acTL", b"")[:4], "big")
    if frames > 1:
        raise PictureError(Fault.ANIMATION)
    return Container(
        size,
        lambda: _pixels_alone(chunks, header, pixels),
        orientation=_orientation(chunks),
        turned=_turned(chunks.get(TURNED, b"")),
        profile=lambda: _profile(chunks),
        more_pictures=frames == 1 and not frame_of_pixels,
        depth=header.depth,
        transparent=_transparent(chunks, header),
    )


def _chunks(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Kind and content of each chunk. Metadata may be damaged or cut off; what makes up the pixels may not.

    The pixels come with their kind before and their sum after them, which are compared when they are needed.
    """
    place = _SIGNATURE
    while place + 8 <= len(data):
        length, kind = int.from_bytes(data[place : place + 4], "big"), bytes(data[place + 4 : place + 8])
        end = place + 12 + length
        critical = not kind[0] & 0x20
        if end > len(data):
            if critical:
                raise PictureError(Fault.DAMAGED)
            return
        if kind == b"IEND":
            return
        if kind == b"IDAT":
            yield kind, data[place + 4 : end]
        elif not critical or (kind in (b"IHDR", b"PLTE") and _is_whole(data[place + 4 : end])):
            yield kind, data[place + 8 : end - 4]
        else:
            raise PictureError(Fault.DAMAGED)
        place = end


def _is_whole(chunk: memoryview) -> bool:
    """Whether kind and content of a chunk have the sum that follows them."""
    return zlib.crc32(chunk[:-4]) == int.from_bytes(chunk[-4:], "big")


def _header(chunks: dict[bytes, bytes]) -> tuple[tuple[int, int], _Header]:
    """The size, and how samples are stored."""
    body = chunks.get(b"IHDR", b"")
    if len(body) != 13 or next(iter(chunks)) != b"IHDR":
        raise PictureError(Fault.DAMAGED)
    width, height, depth, colour_type, packing, filters, interlace = struct.unpack(">II5B", body)
    if depth not in _DEPTHS.get(colour_type, ()) or packing or filters or interlace > 1:
        raise PictureError(Fault.DAMAGED)
    return (width, height), _Header(colour_type, depth)


def _pixels_alone(chunks: dict[bytes, bytes], header: _Header, pixels: list[memoryview]) -> bytes:
    """A PNG of the critical chunks, and of the palette's alpha."""
    if not all(map(_is_whole, pixels)):
        raise PictureError(Fault.DAMAGED)
    kinds = [b"IHDR"]
    if header.colour_type == _PALETTE:
        kinds += [kind for kind in (b"PLTE", b"tRNS") if kind in chunks]
    parts: list[bytes | memoryview] = [b"\x89PNG\r\n\x1a\n", *(_chunk(kind, chunks[kind]) for kind in kinds)]
    for whole in pixels:
        parts += [(len(whole) - 8).to_bytes(4, "big"), whole]
    return b"".join([*parts, _chunk(b"IEND", b"")])


def _chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(body, zlib.crc32(kind)).to_bytes(4, "big")


def _transparent(chunks: dict[bytes, bytes], header: _Header) -> tuple[int, ...] | None:
    body, samples = chunks.get(b"tRNS", b""), {_GREY: 1, _RGB: 3}.get(header.colour_type, 0)
    if not samples or len(body) < 2 * samples:
        return None
    # Of a sample only the low bits count, as many as the depth says.
    return tuple(each & ((1 << header.depth) - 1) for each in struct.unpack_from(f">{samples}H", body))


def _orientation(chunks: dict[bytes, bytes]) -> int:
    orientation = exif_orientation(chunks.get(b"eXIf", b""))
    if orientation == 1 and _RAW_EXIF in chunks:
        orientation = exif_orientation(_raw_profile(chunks[_RAW_EXIF]))
    if orientation == 1 and _XMP in chunks:
        orientation = xmp_orientation(_text(chunks[_XMP]))
    return orientation


def _turned(body: bytes) -> int:
    return body[0] if len(body) == 1 and 1 <= body[0] <= 8 else 1


def _raw_profile(chunk: bytes) -> bytes:
    """ImageMagick's form: a name, a length and hexadecimal digits, as text."""
    lines = _text(chunk).split()
    try:
        return bytes.fromhex(b"".join(lines[2:]).decode("ascii"))
    except ValueError:
        return b""


def _text(chunk: bytes) -> bytes:
    """The content of a text chunk; empty if it cannot be unpacked."""
    kind, body = chunk[:4], chunk[4:].partition(b"\0")[2]
    if kind == b"tEXt":
        return body
    if kind == b"zTXt":
        return unpack_text(body[1:])
    packed, text = body[:1] == b"\1", body[2:].split(b"\0", 2)[-1]
    return unpack_text(text) if packed else text


def _profile(chunks: dict[bytes, bytes]) -> bytes | None:
    """The colour profile that counts, as in `Container`: cICP, iCCP, sRGB, then gAMA and cHRM."""
    if len(chunks.get(b"cICP", b"")) == 4:
        return coded_profile(*chunks[b"cICP"])
    if b"iCCP" in chunks:
        return unpack(chunks[b"iCCP"].partition(b"\0")[2][1:])
    if b"sRGB" in chunks:
        return b""
    gamma, points = chunks.get(b"gAMA", b""), chunks.get(b"cHRM", b"")
    return measured_profile(
        int.from_bytes(gamma, "big") if len(gamma) == 4 else None,
        struct.unpack(">8I", points) if len(points) == 32 else None,
    )
