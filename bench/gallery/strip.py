"""Draws a strip: the pictures that a command was sent, and those that it made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

_GAP, _WIDE_GAP = 6, 18
_PAPER, _CHECKS, _SQUARE = (255, 255, 255), ((238, 238, 236), (218, 218, 215)), 12


def draw_strip(sent: Sequence[Path], results: Sequence[Path], height: int) -> Image.Image:
    """The sent pictures at the left, the results at the right, all `height` pixels high."""
    tiles = [[_tile(path, height) for path in paths] for paths in (sent, results) if paths]
    widths = [sum(tile.width for tile in group) + _GAP * (len(group) - 1) for group in tiles]
    strip = Image.new("RGB", (sum(widths) + _WIDE_GAP * (len(tiles) - 1), height), _PAPER)
    left = 0
    for group in tiles:
        for tile in group:
            strip.paste(tile, (left, 0))
            left += tile.width + _GAP
        left += _WIDE_GAP - _GAP
    return strip


def _tile(path: Path, height: int) -> Image.Image:
    picture = Image.open(path).convert("RGBA")
    size = max(1, round(picture.width * height / picture.height)), height
    # A small picture is shown with the pixels that it has, not with ones that this resampling would make up.
    filtered = Image.Resampling.NEAREST if 2 * picture.height < height else Image.Resampling.LANCZOS
    resized = picture.resize(size, filtered)
    return Image.alpha_composite(_checkerboard(size), resized).convert("RGB")


def _checkerboard(size: tuple[int, int]) -> Image.Image:
    columns, rows = -(-size[0] // _SQUARE), -(-size[1] // _SQUARE)
    board = Image.new("RGBA", (columns, rows))
    board.putdata([_CHECKS[(column + row) % 2] for row in range(rows) for column in range(columns)])
    return board.resize((columns * _SQUARE, rows * _SQUARE), Image.Resampling.NEAREST).crop((0, 0, *size))
