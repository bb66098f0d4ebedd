"""A PNG encoder for every picture that the specification allows, and what each must decode to.

Pillow writes few of them: not 2 and 4 bits of grey, not 16 bits of colour, no interlacing, no transparent grey.
"""

from __future__ import annotations

import dataclasses
import itertools
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from tests.field.files import PNG, chunk

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
DEPTHS = {GREY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16), RGBA: (8, 16)}
# Adam7: first column and row, and the steps between columns and rows, of each pass.
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
SIZES = ((1, 1), (3, 2), (9, 13), (32, 32))

Samples = npt.NDArray[np.uint16]
Bytes = npt.NDArray[np.uint8]


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of PNG picture."""

    colour_type: int
    depth: int
    transparent: bool
    """It has a tRNS chunk: a transparent colour, or alpha for the first entries of a palette."""
    interlaced: bool
    width: int
    height: int

    def __str__(self) -> str:
        marks = ("-trns" if self.transparent else "") + ("-adam7" if self.interlaced else "")
        return f"type{self.colour_type}-{self.depth}bit{marks}-{self.width}x{self.height}"


def kinds() -> Iterator[Kind]:
    """Every kind of the specification, in several sizes."""
    for (colour_type, depths), interlaced, size in itertools.product(DEPTHS.items(), (False, True), SIZES):
        for depth, transparent in itertools.product(depths, (False, True)):
            if not transparent or colour_type in (GREY, RGB, PALETTE):
                yield Kind(colour_type, depth, transparent, interlaced, *size)


def make(kind: Kind) -> tuple[bytes, Bytes]:
    """A file of that kind, and the RGBA [H, W, 4] of 8 bits that the specification gives it."""
    random = np.random.default_rng(zlib.crc32(str(kind).encode()))
    shape = (kind.height, kind.width, CHANNELS[kind.colour_type])
    samples = random.integers(0, 1 << kind.depth, shape, dtype=np.uint16)
    palette = random.integers(0, 256, (1 << min(kind.depth, 8), 3), dtype=np.uint8)
    alphas = random.integers(0, 256, max(1, len(palette) // 2), dtype=np.uint8)
    # A colour that is there, and neighbours that differ from it in the last bit of 16 alone.
    colour = samples[0, 0].copy()
    if kind.depth == 16 and kind.width > 2:
        samples[0, 1], samples[0, 2] = colour ^ 1, colour
    header = struct.pack(">IIBBBBB", kind.width, kind.height, kind.depth, kind.colour_type, 0, 0, int(kind.interlaced))
    parts = [PNG, chunk(b"IHDR", header)]
    if kind.colour_type == PALETTE:
        parts.append(chunk(b"PLTE", palette.tobytes()))
    if kind.transparent:
        body = alphas.tobytes() if kind.colour_type == PALETTE else colour.astype(">u2").tobytes()
        parts.append(chunk(b"tRNS", body))
    parts += [chunk(b"IDAT", zlib.compress(_scanlines(kind, samples))), chunk(b"IEND", b"")]
    return b"".join(parts), _expected(kind, samples, palette, alphas, colour)


def _scanlines(kind: Kind, samples: Samples) -> bytes:
    passes = PASSES if kind.interlaced else ((0, 0, 1, 1),)
    return b"".join(_filtered(kind, samples[y::down, x::across]) for x, y, across, down in passes)


def _filtered(kind: Kind, samples: Samples) -> bytes:
    """The rows of one pass; their filters follow one another through all five."""
    if 0 in samples.shape:
        return b""
    step = max(1, kind.depth * CHANNELS[kind.colour_type] // 8)
    result, above = b"", b""
    for index, row in enumerate(samples):
        line = _packed(kind.depth, row.ravel())
        above = above or bytes(len(line))
        result += _filter(index % 5, line, above, step)
        above = line
    return result


def _packed(depth: int, values: Samples) -> bytes:
    if depth == 16:
        return values.astype(">u2").tobytes()
    if depth == 8:
        return values.astype(np.uint8).tobytes()
    bits = (values[:, None] >> np.arange(depth - 1, -1, -1)) & 1
    return np.packbits(bits.ravel().astype(np.uint8)).tobytes()


def _filter(kind: int, line: bytes, above: bytes, step: int) -> bytes:
    result = bytearray([kind])
    for place, value in enumerate(line):
        left = line[place - step] if place >= step else 0
        up = above[place]
        corner = above[place - step] if place >= step else 0
        result.append((value - _prediction(kind, left, up, corner)) & 255)
    return bytes(result)


def _prediction(kind: int, left: int, up: int, corner: int) -> int:
    if kind == 4:
        estimate = left + up - corner
        return min((left, up, corner), key=lambda value: abs(estimate - value))
    return (0, left, up, (left + up) // 2)[kind]


def _expected(kind: Kind, samples: Samples, palette: Bytes, alphas: Bytes, colour: Samples) -> Bytes:
    """RGBA; of 16 bits the upper 8, which the specification allows (13.12)."""
    if kind.colour_type == PALETTE:
        index = samples[..., 0]
        entries = np.full((len(palette), 4), 255, np.uint8)
        entries[:, :3] = palette
        if kind.transparent:
            entries[: len(alphas), 3] = alphas
        looked_up: Bytes = entries[index]
        return looked_up
    scaled = samples >> 8 if kind.depth == 16 else samples * (255 // ((1 << kind.depth) - 1))
    values = scaled.astype(np.uint8)
    alpha = values[..., -1:] if kind.colour_type in (GREY_ALPHA, RGBA) else np.full_like(values[..., :1], 255)
    colours = values[..., :3] if kind.colour_type in (RGB, RGBA) else np.repeat(values[..., :1], 3, axis=2)
    if kind.transparent:
        alpha = np.where((samples == colour).all(axis=2, keepdims=True), 0, 255).astype(np.uint8)
    result: Bytes = np.concatenate([colours, alpha], axis=2)
    return result
