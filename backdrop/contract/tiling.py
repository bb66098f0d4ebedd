"""Tilings: a scene longer than every bucket, worked on in overlapping tiles of a bucket's size."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from backdrop.contract.geometry import Size, nearest_bucket

Floats = npt.NDArray[np.float32]
MAX_TILES = 8
"""Of one scene. A longer canvas lies in the longest scene, which then shows more than the canvas."""
_GRID = 32
"""Pixels; tiles begin at multiples of it, which are whole latents for every VAE."""
_EXTREMES = (Size(64, 1), Size(1, 64))
"""The shapes of the longest pictures that the contract's limits allow."""


@dataclasses.dataclass(frozen=True)
class Tiling:
    """A scene and its tiles, which lie one behind another along one side; a scene of a bucket's size is one tile.

    `cut` and `merge` take pixels and latents: what a cell of an array is follows from its shape.
    """

    scene: Size
    """Of all that the models make."""
    tile: Size
    """A bucket: the size that the models see."""
    starts: tuple[int, ...] = (0,)
    """Where each tile begins, in pixels along the scene's longer direction."""

    @property
    def count(self) -> int:
        """Number of tiles: the rows of one prompt in a step."""
        return len(self.starts)

    @property
    def megapixels(self) -> float:
        """Of all tiles together: the work of one row for each."""
        return self.count * self.tile.megapixels

    def cut(self, canvas: Floats) -> Floats:
        """The tiles [tiles, C, h, w] of a canvas [C, H, W]."""
        return np.stack([canvas[part] for part in self._parts(self.scene.width // canvas.shape[-1])])

    def merge(self, tiles: Floats) -> Floats:
        """The canvas [C, H, W] of tiles [tiles, C, h, w]: their weighted mean where they overlap.

        MultiDiffusion (Bar-Tal et al. 2023, equation 5). A tile's weight falls smoothly towards its ends, by sin², so
        that no tile begins or ends at an edge.
        """
        factor = self.tile.width // tiles.shape[-1]
        merged = np.zeros((tiles.shape[1], self.scene.height // factor, self.scene.width // factor), np.float32)
        for part, weights, tile in zip(self._parts(factor), self._weights(factor), tiles, strict=True):
            merged[part] += weights * tile
        return merged

    @property
    def _wide(self) -> bool:
        return self.scene.width > self.tile.width

    def _parts(self, factor: int) -> list[tuple[slice, ...]]:
        """The place of each tile in an array whose cells have `factor` pixels a side."""
        height, width = self.tile.height // factor, self.tile.width // factor
        places = [(0, start // factor) if self._wide else (start // factor, 0) for start in self.starts]
        return [np.s_[:, y : y + height, x : x + width] for y, x in places]

    def _weights(self, factor: int) -> list[Floats]:
        """Of each tile, for broadcasting over [C, h, w]; in each cell of the scene they add up to 1."""
        length = (self.tile.width if self._wide else self.tile.height) // factor
        bell = np.square(np.sin(np.pi * (np.arange(length) + 0.5) / length))
        starts = [start // factor for start in self.starts]
        total = np.zeros(starts[-1] + length)
        for start in starts:
            total[start : start + length] += bell
        shares = [(bell / total[start : start + length]).astype(np.float32) for start in starts]
        return [share[None, :] if self._wide else share[:, None] for share in shares]


def tiling_of(canvas: Size, buckets: Sequence[Size]) -> Tiling:
    """The bucket of the nearest shape; tiles of it for a canvas that is more than 1.5 times as long as the bucket.

    Up to there, two thirds of what the models make are seen, and tiles would take at least twice the rows. Beyond, the
    scene is as long as the canvas, and neighbouring tiles overlap by at least one half.
    """
    tile = nearest_bucket(canvas, buckets)
    # Whole numbers: a canvas of exactly the limit's shape must lie on one side of it on every machine.
    across, down = canvas.width * tile.height, canvas.height * tile.width
    if 2 * max(across, down) <= 3 * min(across, down):
        return Tiling(tile, tile)
    if across > down:
        surplus, starts = _spread(across - down, canvas.height, tile.width)
        return Tiling(Size(tile.width + surplus, tile.height), tile, starts)
    surplus, starts = _spread(down - across, canvas.width, tile.height)
    return Tiling(Size(tile.width, tile.height + surplus), tile, starts)


def _spread(numerator: int, denominator: int, length: int) -> tuple[int, tuple[int, ...]]:
    """How many pixels a scene is longer than a tile of `length`, and where its tiles begin.

    The canvas needs `numerator` ÷ `denominator` pixels more than a tile has.
    """
    half = max(length // (2 * _GRID), 1)
    cells = min(-(-numerator // (denominator * _GRID)), half * (MAX_TILES - 1))
    gaps = -(-cells // half)
    return cells * _GRID, tuple(round(index * cells / gaps) * _GRID for index in range(gaps + 1))


def largest_scene(buckets: Sequence[Size]) -> Size:
    """The scene of the most pixels that some canvas has."""
    scenes = [tiling_of(shape, buckets).scene for shape in itertools.chain(buckets, _EXTREMES)]
    return max(scenes, key=lambda scene: scene.pixels)
