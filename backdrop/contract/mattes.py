"""Mattes of strangers: residue is cleared, nearly certain values become certain, class numbers are told from mattes.

A matte [H, W] says with 255 that a pixel is marked and with 0 that it is not. Real soft edges pass unchanged.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from backdrop.contract.arrays import Bytes, strips

CERTAIN_OUTSIDE, CERTAIN_INSIDE = 20, 230
"""Nearly certain values of a nearly binary matte; the limits for the segmenter's masks, of 255."""
FAINT = 12
"""Residue is at most this opaque (5 %)."""
NEAR, FAR = 1 / 64, 1 / 16
"""Fractions of the longer side. Faint pixels nearer than NEAR to something opaque are never residue; those that a soft
edge leads to are none up to FAR."""
_BLOCKS = 256
"""Residue is looked for on a grid of at most this many blocks a side."""
_PLATEAU = 2
"""Nearly certain pixels for each uncertain one: a blurred edge has about one, an inside of 254 far more."""
_HARD, _THIN = 0.7, 1.5
"""Uncertain pixels for each pixel of an edge: an antialiased edge has 0.85, a hard one fewer, a blurred one more."""
_FEW_VALUES, _FAINT_CLASS, _EVERYWHERE = 64, 64, 0.9

Mask = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True, eq=False)
class CleanMatte:
    """A matte without residue, and what was done to it."""

    values: Bytes
    residue: int
    """Number of pixels that were cleared."""
    snapped: bool
    """Whether nearly certain values were made certain."""


def clean(matte: Bytes, *, lossy: bool) -> CleanMatte:
    """Makes a matte [H, W] mean what a reader sees; `lossy` says that its values are those of a lossy codec."""
    values, residue = _without_residue(matte)
    snapped = _snapped(values, lossy)
    return CleanMatte(values if snapped is None else snapped, residue, snapped is not None)


def looks_like_classes(mask: Bytes) -> bool:
    """Whether a mask [H, W] that marks something holds class numbers (0, 1, 2 …, 255 = ignore) and no degrees."""
    counts = _histogram(mask)
    if counts[128:].sum() == 0:
        return bool(counts[1:].any())
    faint, strong = counts[1 : _FAINT_CLASS + 1], counts[128:].sum()
    if np.count_nonzero(counts[1:255]) > _FEW_VALUES or faint.sum() <= strong:
        return False
    # Haze lies over everything; a class does not.
    haze = counts[FAINT + 1 : 128].sum() == 0 and faint.sum() >= _EVERYWHERE * (mask.size - strong)
    return not haze


def _histogram(matte: Bytes) -> npt.NDArray[np.intp]:
    """How often each of the 256 values stands in a matte."""
    counts = np.zeros(256, np.intp)
    for rows in strips(*matte.shape):
        counts += np.bincount(matte[rows].ravel(), minlength=256)
    return counts


def _snapped(matte: Bytes, lossy: bool) -> Bytes | None:
    """The matte with nearly certain values made certain; None if it is not nearly binary."""
    counts = _histogram(matte)
    low, high = int(counts[1 : CERTAIN_OUTSIDE + 1].sum()), int(counts[CERTAIN_INSIDE:255].sum())
    uncertain = int(counts[CERTAIN_OUTSIDE + 1 : CERTAIN_INSIDE].sum())
    # A codec ripples on both sides of an edge. A picture that is saved again without loss shows it all the same.
    rippled = low + high > 0 and (lossy or min(low, high) > uncertain)
    if not rippled and high <= _PLATEAU * uncertain and (high == 0 or counts[255] > 0):
        return None
    edge = sum(int((marked & ~within).sum()) for _, marked, within, _ in _sides(matte)) if rippled else 0
    snapped = np.empty_like(matte)
    for rows, marked, within, outside in _sides(matte):
        values = matte[rows]
        if rippled and uncertain <= _THIN * edge:
            # The edge is at most one pixel wide: what is uncertain elsewhere is a ripple.
            values = np.where(within, 255, np.where(outside, 0, values))
        values = np.where(values >= CERTAIN_INSIDE, 255, np.where(rippled & (values <= CERTAIN_OUTSIDE), 0, values))
        snapped[rows] = np.where(marked, 255, 0) if rippled and uncertain <= _HARD * edge else values
    return snapped


def _sides(matte: Bytes) -> Iterator[tuple[slice, Mask, Mask, Mask]]:
    """In strips: where pixels are marked (128 or more), where all their neighbours are too, and where none is."""
    for rows in strips(*matte.shape):
        top, bottom = max(0, rows.start - 1), min(len(matte), rows.stop + 1)
        inner = slice(rows.start - top, rows.stop - top)
        marked = matte[top:bottom] >= 128
        yield rows, marked[inner], ~_grown(~marked)[inner], ~_grown(marked)[inner]


def _without_residue(matte: Bytes) -> tuple[Bytes, int]:
    """The matte [H, W] without residue, and how many pixels were cleared; the matte itself if it has none."""
    side = -(-max(matte.shape) // _BLOCKS)
    faint_blocks, strong_blocks = _blocks(matte, side)
    residue = _residue(faint_blocks, strong_blocks)
    if not residue.any():
        return matte, 0
    cleared, count = matte.copy(), 0
    for index, blocks in enumerate(residue):
        rows = cleared[index * side : (index + 1) * side]
        faint = _faint(rows) & np.repeat(blocks, side)[: matte.shape[1]]
        count += int(faint.sum())
        rows[faint] = 0
    return cleared, count


def _residue(faint: Mask, strong: Mask) -> Mask:
    """Which blocks have residue: of those with faint pixels, the ones that no soft edge leads to."""
    if not faint.any() or not strong.any():
        return np.zeros_like(faint)
    across, near = max(strong.shape), strong
    for _ in range(max(1, round(NEAR * across))):
        near = _grown(near)
    soft_edge = near & (faint | strong)
    for _ in range(max(1, round((FAR - NEAR) * across))):
        soft_edge = soft_edge | (_grown(soft_edge) & faint)
    residue = faint & ~soft_edge
    # Haze reaches the product: what is connected with residue is residue.
    while (more := (_grown(residue) & faint) | residue).sum() > residue.sum():
        residue = more
    return residue


def _faint(values: Bytes) -> Mask:
    # Zero becomes 255, so that one comparison asks for 1 to FAINT.
    return np.asarray(values - np.uint8(1) < FAINT)


def _blocks(matte: Bytes, side: int) -> tuple[Mask, Mask]:
    """Which blocks of `side` pixels have faint pixels, and which have stronger ones."""
    columns = np.arange(0, matte.shape[1], side)
    faint, strong = [], []
    for top in range(0, len(matte), side):
        rows = matte[top : top + side]
        faint.append(np.logical_or.reduceat(_faint(rows).any(axis=0), columns))
        strong.append(np.logical_or.reduceat((rows > FAINT).any(axis=0), columns))
    return np.array(faint), np.array(strong)


def _grown(marks: Mask) -> Mask:
    """The marks and their eight neighbours."""
    padded = np.pad(marks, 1)
    rows = padded[:-2] | padded[1:-1] | padded[2:]
    return np.asarray(rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:])
