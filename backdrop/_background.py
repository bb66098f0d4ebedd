"""The background task: its fields, each said once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar

from backdrop import _text as text
from backdrop import _wire as wire
from backdrop._describe import Flag, Option
from backdrop._enums import HorizontalAlignment, VerticalAlignment
from backdrop._task import Task
from backdrop._types import Box, Fit, ImageSource, Layout, Product


@dataclasses.dataclass(frozen=True, eq=False)
class Background(Task):
    """A product photo, or several, in a new scene: products are kept, everything around them is made."""

    name: ClassVar[str] = "background"

    product: Annotated[
        ImageSource,
        Option(
            "background.product",
            wire.picture,
            "The product photo: PNG, JPEG or WebP, at most 16 megapixels and 16 MiB. An alpha channel is a soft mask.",
            (Flag("--product", Path),),
        ),
    ] = dataclasses.field(repr=False)
    mask: Annotated[
        ImageSource | None,
        Option(
            "background.mask",
            wire.picture,
            "Where the product is, of the size of the upright photo (EXIF orientation applied): 255 (white) = product,"
            " 0 (black) = scene, between = soft edge."
            " Default: the photo's alpha channel, else made by the pipeline's segmenter, if it has one.",
            (Flag("--mask", Path),),
        ),
    ] = dataclasses.field(default=None, repr=False)
    placement: Annotated[
        Fit | Box | None,
        Option(
            "background.placement",
            wire.placement,
            "Where the product stands in the picture: `Fit(…)` with padding, margins, alignment, sides to snap to or"
            " its own size; or `Box(…)`. Default: where it is in the photo, or `Fit()` with an output size.",
            (
                Flag(
                    "--padding",
                    metavar="SPACE|L,T,R,B",
                    help="Free space around the product, as a fraction of the picture's shorter side: one number up to"
                    " 0.45, or one for each side. Default: 0.15.",
                    subpath=".fit.padding",
                ),
                Flag(
                    "--margin",
                    metavar="SPACE|L,T,R,B",
                    help="Free space around the padding, which is kept where the product snaps. Default: 0.",
                    subpath=".fit.margin",
                ),
                Flag(
                    "--align",
                    HorizontalAlignment,
                    help="Where the product stands from left to right. Default: center.",
                    subpath=".fit.horizontal",
                ),
                Flag(
                    "--valign",
                    VerticalAlignment,
                    help="Where the product stands from top to bottom. Default: center.",
                    subpath=".fit.vertical",
                ),
                Flag(
                    "--keep-size",
                    bool,
                    help="Do not resize the product; padding gives way to it. Default: as large as possible.",
                    subpath=".fit.keep_size",
                ),
                Flag(
                    "--snap",
                    metavar="SIDE,…",
                    help="Sides at which the product stands without padding: left, top, right, bottom; cut = where the"
                    " photo's edge cuts it off. Default: none.",
                    subpath=".fit.snap",
                ),
                Flag(
                    "--box",
                    metavar="X,Y,W,H",
                    help="Place the product in this rectangle of the picture instead, in pixels.",
                    subpath=".box",
                ),
            ),
            text.parse_placement,
        ),
    ] = None
    more_products: Annotated[
        Sequence[Product] | None,
        Option(
            "background.more_products",
            wire.products,
            "Further products, each `Product(photo, mask, placement)`, in front of those before it; up to"
            " `Limits.max_products` in all. On the command line PHOTO@X,Y,WIDTH,HEIGHT or PHOTO+MASK@X,Y,WIDTH,HEIGHT."
            " Default: none.",
            (
                Flag(
                    "--more",
                    list[str],
                    "PHOTO[+MASK]@X,Y,W,H",
                    "A further product, perhaps with a mask, and its rectangle in the picture; it stands in front of"
                    " those before it. May be given several times. Default: none.",
                ),
            ),
            text.parse_products,
        ),
    ] = None
    scene: Annotated[
        ImageSource | None,
        Option(
            "background.scene",
            wire.picture,
            "A picture of the place: it is scaled to cover the whole picture, and the noise starts from it. A prompt"
            " may be set besides. Default: none.",
            (Flag("--scene", Path),),
        ),
    ] = dataclasses.field(default=None, repr=False)
    scene_strength: Annotated[
        float | None,
        Option(
            "background.scene_strength",
            wire.number,
            "How far the result may go from the picture of the place, 0.0 (the place itself with the products on it)"
            " to 1.0 (it has no influence). Default: 0.6.",
            (Flag("--scene-strength", float),),
        ),
    ] = None
    layouts: Annotated[
        Sequence[Layout] | None,
        Option(
            "background.layouts",
            wire.layouts,
            "Several pictures from one request, each `Layout(size, aspect_ratio, placement)`; on the command line"
            " WIDTHxHEIGHT or WIDTH:HEIGHT. Variants and top_k count for each. Up to `Limits.max_layouts`. Default: one"
            " picture.",
            (Flag("--layout", list[str], "WxH|W:H"),),
            text.parse_layouts,
        ),
    ] = None
    automatic_placements: Annotated[
        int | None,
        Option(
            "background.automatic_placements",
            wire.integer,
            "So many placements are chosen by the server, 1 to 7: in the middle, in both thirds, large, small and low,"
            " at both sides. Each is a layout. Default: none.",
            (Flag("--automatic-placements", int),),
        ),
    ] = None
    soft: Annotated[
        int | None,
        Option(
            "background.soft",
            wire.integer,
            "The width of a soft border, 1 to 16 pixels: so far from its edge a cut-out is mended where it took too"
            " much or too little. It must be wider than the mask is wrong. Default: a hard border, the cut-out is used"
            " as it was sent.",
            (Flag("--soft", int),),
        ),
    ] = None
    harmonise: Annotated[
        float | None,
        Option(
            "background.harmonise",
            wire.number,
            "How far the product takes on the scene's colours within its soft border, 0.0 to 1.0. Default: 0.0.",
            (Flag("--harmonise", float),),
        ),
    ] = None
