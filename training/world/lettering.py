"""Brand names in capital letters of five by seven cells, printed on products."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.world.body import Body
from training.world.canvas import Array

Index = NDArray[np.int64]
NAMES = ("NORA", "LUMO", "VITA", "OAK", "SOL", "KIRA", "MILO", "ECHO", "ZEN", "PURE", "NOVA", "TALI", "BRIO", "HALO")
_GLYPHS = {
    "A": "01110 10001 10001 11111 10001 10001 10001",
    "B": "11110 10001 10001 11110 10001 10001 11110",
    "C": "01111 10000 10000 10000 10000 10000 01111",
    "E": "11111 10000 10000 11110 10000 10000 11111",
    "H": "10001 10001 10001 11111 10001 10001 10001",
    "I": "01110 00100 00100 00100 00100 00100 01110",
    "K": "10001 10010 10100 11000 10100 10010 10001",
    "L": "10000 10000 10000 10000 10000 10000 11111",
    "M": "10001 11011 10101 10101 10001 10001 10001",
    "N": "10001 11001 10101 10101 10011 10001 10001",
    "O": "01110 10001 10001 10001 10001 10001 01110",
    "P": "11110 10001 10001 11110 10000 10000 10000",
    "R": "11110 10001 10001 11110 10100 10010 10001",
    "S": "01111 10000 10000 01110 00001 00001 11110",
    "T": "11111 00100 00100 00100 00100 00100 00100",
    "U": "10001 10001 10001 10001 10001 10001 01110",
    "V": "10001 10001 10001 10001 10001 01010 00100",
    "Z": "11111 00001 00010 00100 01000 10000 11111",
}


def _bitmap(name: str) -> Array:
    """The name as 0 and 1, [9, 6 * letters + 1], with a margin of one cell."""
    letters = [np.array([[int(cell) for cell in row] for row in _GLYPHS[letter].split()]) for letter in name]
    line = np.concatenate([np.pad(letter, ((1, 1), (1, 0))) for letter in letters], axis=1)
    return np.pad(line, ((0, 0), (0, 1))).astype(np.float32)


def lettering(body: Body, cx: float, cy: float, width: float, bend: Array | float = 0.0) -> Array:
    """Signed distance to one of `NAMES`, drawn at random, `width` wide about (cx, cy); `bend` lowers it along x."""
    cells = _bitmap(NAMES[int(body.rng.integers(len(NAMES)))])
    rows, columns = cells.shape
    cell = width / columns
    x = (body.x - cx) / cell + columns / 2 - 0.5 + 0 * body.y
    y = rows / 2 - 0.5 - (body.y + bend - cy) / cell + 0 * body.x
    c, r = np.floor(x).astype(int), np.floor(y).astype(int)
    s, t = x - c, y - r

    def at(row: Index, column: Index) -> Array:
        inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        nearest = cells[np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)]
        return np.where(inside, nearest, np.float32(0))

    top = at(r, c) * (1 - s) + at(r, c + 1) * s
    bottom = at(r + 1, c) * (1 - s) + at(r + 1, c + 1) * s
    return np.asarray((0.5 - (top * (1 - t) + bottom * t)) * cell, np.float32)
