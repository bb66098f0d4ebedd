"""What is made in a hole, or around a picture, in the colours of what is known beside it.

A denoiser and its autoencoder miss the colours of the surroundings by a few levels, everywhere by about the same
amount, so the outline of the mask can be seen. Two bands are compared, the known pixels on one side of the border and
the new ones on the other. The difference of their means is carried smoothly over the hole and added: gradient-domain
cloning (Pérez, Gangnet & Blake 2003), with the membrane interpolated by pull-push (Gortler et al. 1996). It fades away
from the border: what differs there may be of the border alone, such as the shadow of what is erased. Texture stays,
because only means are compared. Right at the border they are means of few cells, and fade within as few.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from backdrop.contract.arrays import Bytes, array_of, strips
from backdrop.contract.masks import widened

Values = npt.NDArray[np.float32]
_GRID = 384
"""The longest side, in cells, of the grid on which differences are computed: they are smooth."""
_RING = 64
"""The width of the compared bands along the border, as a part of the grid's longest side; 4 cells at least."""
_LEAST_RING = 4
_REACH = 14
"""The distance from the border at which the shift has fallen to 1/e, as a part of the grid's longest side."""
_EDGE = 3.0
"""The distance, in cells, at which what is left at the border itself has fallen to 1/e."""
_FINE = 2
"""Levels of the pyramid that count as texture: means are over squares of 2 ** _FINE cells at least."""


def continued(scene: Bytes, known: Bytes, make: Bytes) -> Bytes:
    """A scene whose made part is moved towards the colours around it.

    Args:
        scene: the made picture [H, W, 3].
        known: the picture whose pixels are kept [H, W, 3].
        make: 255 = made, 0 = known, between = soft edge [H, W].

    Returns:
        The scene [H, W, 3]; it differs where `make` is above 0 alone. It is the same where nothing is known.
    """
    part = _around(make)
    if part is None:
        return scene
    shift = _shift(scene[part], known[part], make[part])
    if shift is None:
        return scene
    result, height, width = scene.copy(), *make[part].shape
    target, weight = result[part], make[part]
    planes = [Image.fromarray(np.ascontiguousarray(shift[..., channel])) for channel in range(3)]
    for rows in strips(height, width):
        # Each strip of the enlarged planes is what the whole would be there: the resampling reads beyond its box.
        box = (0, rows.start * planes[0].height / height, planes[0].width, rows.stop * planes[0].height / height)
        size = (width, rows.stop - rows.start)
        moved = [np.asarray(plane.resize(size, Image.Resampling.BILINEAR, box=box)) for plane in planes]
        share = weight[rows, :, None] / np.float32(255)
        target[rows] = np.rint(np.clip(target[rows] + share * np.stack(moved, axis=-1), 0, 255))
    return result


def carried(cutout: Bytes) -> Bytes:
    """A picture [H, W, 4] whose known pixels' colours go on, ever smoother, where its alpha is below 255: [H, W, 3].

    It is the picture itself where nothing is known.
    """
    known = cutout[..., 3] == 255
    if not known.any():
        return np.ascontiguousarray(cutout[..., :3])
    share = cutout[..., 3:].astype(np.float32) / 255
    return np.asarray(
        np.rint(np.clip(share * cutout[..., :3] + (1 - share) * _spread(cutout[..., :3], known), 0, 255)), np.uint8
    )


def _around(make: Bytes) -> tuple[slice, slice] | None:
    """The box of what is made, with a quarter of it on each side; None if nothing is."""
    spans = []
    for axis in (1, 0):
        places = np.flatnonzero(make.any(axis=axis))
        if not len(places):
            return None
        first, end = int(places[0]), int(places[-1]) + 1
        margin = (end - first) // 4 + 2 * _LEAST_RING
        spans.append(slice(max(0, first - margin), min(make.shape[1 - axis], end + margin)))
    return spans[0], spans[1]


def _shift(scene: Bytes, known: Bytes, make: Bytes) -> Values | None:
    """By how much colours are moved, on a coarse grid [h, w, 3]; None without a border to compare at."""
    cell = -(-max(make.shape) // _GRID)
    small = [
        array_of(Image.fromarray(np.ascontiguousarray(each)).reduce(cell), mode)
        for each, mode in ((scene, "RGB"), (known, "RGB"), (make, "L"))
    ]
    ring = max(_LEAST_RING, max(small[2].shape) // _RING)
    # Cells that are made or known entirely, and lie within the ring of others.
    inner = (small[2] == 255) & (widened(np.invert(small[2]), ring) > 0)
    outer = (small[2] == 0) & (widened(small[2], ring) > 0)
    if not inner.any() or not outer.any():
        return None
    shift = _spread(small[1], outer) - _spread(small[0], inner)
    common: Values = np.median(shift[inner], axis=0)
    distance, nearest = _nearest(small[2] == 0)
    near: Values = np.exp(-distance * np.float32(_REACH / max(small[2].shape)))
    shift = common + (shift - common) * near[..., None]
    # What is left at the border itself, in means over three cells by three: a cell alone is texture.
    first = _nearest(inner & (widened(np.invert(small[2]), 1) > 0))[1]
    rest = _at(_blurred(small[1], small[2] == 0), nearest) - _at(_blurred(small[0] + shift, inner), first)
    return np.asarray(shift + rest * np.exp((1 - distance) / _EDGE)[..., None], np.float32)


def _nearest(cells: npt.NDArray[np.bool_]) -> tuple[Values, npt.NDArray[np.int64]]:
    """Of each cell [h, w] to the nearest one of `cells`: the distance along rows and columns, and its number."""
    count = cells.size
    # The number rides along with the distance, as its fraction.
    code = np.where(cells, np.arange(count).reshape(cells.shape), count * sum(cells.shape))
    for axis in (0, 1):
        steps = count * np.expand_dims(np.arange(cells.shape[axis]), 1 - axis)
        before = np.minimum.accumulate(code - steps, axis) + steps
        after = np.flip(np.minimum.accumulate(np.flip(code + steps, axis), axis), axis) - steps
        code = np.minimum(before, after)
    return (code // count).astype(np.float32), code % count


def _blurred(picture: Bytes | Values, cells: npt.NDArray[np.bool_]) -> Values:
    """Means of the `cells` of a picture [h, w, 3] over squares of three cells; 0 where a square has none."""
    weight = cells.astype(np.float32)[..., None]
    sums, counts = (_sums(each) for each in (picture * weight, weight))
    return np.asarray(sums / np.maximum(counts, 1), np.float32)


def _sums(values: Values) -> Values:
    """Sums over squares of three cells [h, w, C]."""
    for axis in (0, 1):
        padded = np.pad(values, [(1, 1) if each == axis else (0, 0) for each in range(3)])
        length = values.shape[axis]
        values = np.sum([padded.take(range(start, start + length), axis) for start in range(3)], axis=0)
    return values


def _at(picture: Values, numbers: npt.NDArray[np.int64]) -> Values:
    """The colours [h, w, 3] of the cells with these numbers."""
    return np.asarray(picture.reshape(-1, 3)[numbers], np.float32)


def _spread(picture: Bytes, cells: npt.NDArray[np.bool_]) -> Values:
    """The colours of some cells of a picture [h, w, 3], carried over all others."""
    weight = cells.astype(np.float32)[..., None]
    levels = [(picture * weight, weight)]
    while max(levels[-1][1].shape) > 1:
        values, weight = (_halved(each) for each in levels[-1])
        # A cell that is full counts once, however many full ones it holds.
        scale = np.minimum(weight, 1) / np.maximum(weight, 1e-6)
        levels.append((values * scale, weight * scale))
    values, weight = levels[-1]
    spread = values / np.maximum(weight, 1e-6)
    for level, (values, weight) in reversed(list(enumerate(levels[:-1]))):
        height, width = weight.shape[:2]
        size = (2 * spread.shape[1], 2 * spread.shape[0])
        planes = [
            Image.fromarray(np.ascontiguousarray(spread[..., n])).resize(size, Image.Resampling.BILINEAR)
            for n in range(3)
        ]
        wider = np.stack([np.asarray(plane) for plane in planes], axis=-1)[:height, :width]
        spread = wider if level < _FINE else values + (1 - weight) * wider
    return np.asarray(spread, np.float32)


def _halved(values: Values) -> Values:
    """Sums of 2 × 2 cells [h, w, C]."""
    padded = np.pad(values, ((0, values.shape[0] % 2), (0, values.shape[1] % 2), (0, 0)))
    return np.asarray(padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2], np.float32)
