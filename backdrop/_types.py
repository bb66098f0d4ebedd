"""What callers put into a request, as small frozen dataclasses; protos stay behind them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from backdrop._enums import HorizontalAlignment, Snap, VerticalAlignment

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    ImageSource: TypeAlias = bytes | bytearray | memoryview | str | os.PathLike[str] | Image.Image | NDArray[np.uint8]
else:
    ImageSource: TypeAlias = Any
"""A picture to send: encoded bytes, a path, a PIL image, or a uint8 array (height, width[, 3 or 4]).

A mask may also be an array of bool."""

Size: TypeAlias = tuple[int, int]
"""Width and height in pixels."""


@dataclasses.dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the output picture."""

    x: int
    """Left edge."""
    y: int
    """Top edge."""
    width: int
    """At least 1."""
    height: int
    """At least 1."""


@dataclasses.dataclass(frozen=True)
class Sides:
    """Free space of each side, as a fraction of the area's shorter side, 0.0 to 0.9; None: the default."""

    left: float | None = None
    top: float | None = None
    right: float | None = None
    bottom: float | None = None


@dataclasses.dataclass(frozen=True)
class Fit:
    """Places the cut-out as large as fits inside the picture less a padding."""

    padding: float | None = None
    """Free space on every side, as a fraction of the area's shorter side. 0.0 to 0.45; None: the server's 0.15."""
    horizontal: HorizontalAlignment | str = HorizontalAlignment.CENTER
    """Where the cut-out stands from left to right."""
    vertical: VerticalAlignment | str = VerticalAlignment.CENTER
    """Where the cut-out stands from top to bottom."""
    padding_sides: Sides | None = None
    """Free space of single sides; sides that are None have `padding`."""
    margin: Sides | None = None
    """Free space around the padding, which sides keep to which the cut-out snaps; sides that are None have 0.0."""
    keep_size: bool = False
    """The cut-out is not resized; padding gives way to it."""
    snap: Sequence[Snap | str] = ()
    """Sides at which the cut-out stands without padding; `Snap.CUT`: where its photo's edge cuts it off."""
    area: Box | None = None
    """The rectangle of the picture in which all this happens. None: the whole picture."""


@dataclasses.dataclass(frozen=True, eq=False)
class Product:
    """One of several products of a scene."""

    product: ImageSource = dataclasses.field(repr=False)
    """Its photo: encoded bytes, a path, a PIL image or a uint8 array."""
    mask: ImageSource | None = dataclasses.field(default=None, repr=False)
    """Where the product is in it, as `Background.mask`."""
    placement: Fit | Box | None = None
    """Where it stands in the picture. None: where it is in its photo, which then has the picture's size."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """How one of several pictures of the same products is laid out."""

    size: Size | None = None
    """Width and height in pixels. None: the output size, else the photo's."""
    aspect_ratio: tuple[int, int] | None = None
    """Instead of `size`: the smallest picture of this shape around the output size, or around the photo."""
    placement: Fit | Box | None = None
    """Where the first product stands. None: as `Background.placement`."""


@dataclasses.dataclass(frozen=True)
class Margins:
    """Pixels to add on each side of a picture, 0 to 8192."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class StyleImage:
    """A picture whose look the scene takes on, with a weight of its own."""

    picture: ImageSource = dataclasses.field(repr=False)
    """Encoded bytes, a path, a PIL image or a uint8 array, as for the product photo."""
    weight: float = 1.0
    """Its share among the style pictures; only the ratios count. Above 0.0, to 10.0."""


@dataclasses.dataclass(frozen=True)
class Adapter:
    """An adapter (LoRA) of the pipeline, and how strongly it changes the pictures."""

    name: str
    """As `Pipeline.adapters` lists it."""
    weight: float = 1.0
    """Factor of its update, -5.0 to 5.0: 1.0 = as it was trained, 0.0 = without it."""


@dataclasses.dataclass(frozen=True)
class EarlyDropping:
    """A round of early dropping: the reward model scores a preview of each remaining variant; the best `keep` continue.

    Successive halving (Jamieson and Talwalkar 2016): later rounds keep fewer. The preview is either the picture that
    is predicted `after` some of the steps, or a draft: the same noise, finished in few steps before the first one.
    """

    keep: int
    """How many variants continue: `top_k` to `variants`; fewer than in the round before."""
    after: float | None = None
    """The fraction of the steps after which the round takes place, above 0.0 and below 1.0. None: 0.5, or nothing
    where drafts are scored."""
    draft_steps: int | None = None
    """Scores drafts of this many steps, from 1 and fewer than the request's; variants that continue start again from
    noise. In the first round only, and instead of `after`."""
