"""The canvas: which pixels of a picture are known, and which are to be made, at the delivery size."""

from __future__ import annotations

import dataclasses
import enum

import numpy as np

from backdrop.contract.arrays import Bytes
from backdrop.contract.geometry import Rect, Size


class MaskSource(enum.IntEnum):
    """Where a mask came from; the values are those of `backdrop.v1.MaskSource`."""

    REQUEST = 1
    ALPHA = 2
    SEGMENTER = 3


@dataclasses.dataclass(frozen=True)
class KeptPart:
    """One of several cut-outs that are known pixels."""

    box: Rect
    """The rectangle of the canvas that it takes."""
    unscaled: bool
    mask_source: MaskSource
    visible_pixels: int
    """Those that are entirely known, and that no other cut-out covers or touches."""


@dataclasses.dataclass(frozen=True)
class Kept:
    """What a receipt reports about the known pixels besides its measurements."""

    box: Rect
    """The rectangle of the canvas that they take."""
    unscaled: bool
    """Whether they are the sent picture's own, not resampled."""
    mask_source: MaskSource
    parts: tuple[KeptPart, ...] = ()
    """Of cut-outs: each, the rearmost first. `box` holds all of them, `mask_source` is the first one's."""


@dataclasses.dataclass(frozen=True, eq=False)
class Border:
    """A product whose border a finished picture may change, and what changes are measured from: a plain paste."""

    known: Bytes
    """[H, W, 3]: the known pixels as they were sent."""
    make: Bytes
    """[H, W]: the mask of a plain paste of them; its scene is the canvas's."""
    band: Bytes
    """[H, W]: 255 = the finished picture may differ from the plain paste, 0 = it must not."""
    product: Bytes
    """[H, W]: 255 = product, 0 = scene, between = soft edge; in the finished picture."""
    width: int
    """Pixels of the product, from its edge inwards, that take on the colours of the scene."""
    strength: float
    """How far they do at the edge: 0.0 = not at all, 1.0 = entirely."""
    light: float = 0.0
    """How far the whole product takes on the scene's light, likewise."""

    @property
    def nbytes(self) -> int:
        """Memory of its pixels."""
        return sum(each.nbytes for each in (self.known, self.make, self.band, self.product))


@dataclasses.dataclass(frozen=True, eq=False)
class Canvas:
    """Every task is "make these pixels, keep those"; this says which."""

    known: Bytes
    """[H, W, 3]: the known pixels' colours, and what noise may start from; arbitrary elsewhere."""
    make: Bytes
    """[H, W]: 255 = to be made, 0 = known, between = soft edge."""
    kept: Kept | None
    """None if nothing is known: then there is no receipt."""
    scene: Bytes | None = None
    """[h, w, 3 or 4]: the task's own scene, of the canvas's size or to be enlarged to it; None if models make it."""
    start: Bytes | None = None
    """[H, W, 3]: what noise may start from behind the known pixels; None: `known` is all of it."""
    border: Border | None = None
    """None if a finished picture is a plain paste of the known pixels."""
    continues: bool = False
    """Whether what is made continues what is known, so that its colours are to meet at the border."""

    @property
    def nbytes(self) -> int:
        """Memory of its pixels."""
        parts = (self.known, self.make, self.scene, self.start, self.border)
        return sum(each.nbytes for each in parts if each is not None)

    @property
    def size(self) -> Size:
        """The delivery size."""
        return Size(self.make.shape[1], self.make.shape[0])


def remade(picture: Bytes) -> Canvas:
    """A picture [H, W, 3] of which every pixel is made again."""
    return Canvas(picture, np.full(picture.shape[:2], 255, np.uint8), None)


def blank(size: Size) -> Canvas:
    """A canvas of which nothing is known."""
    known, make = np.zeros((size.height, size.width, 3), np.uint8), np.full((size.height, size.width), 255, np.uint8)
    return Canvas(known, make, None)
