"""Soft borders of the background task: cut-outs are mended, and take on the colours of the scene beside them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from backdrop.contract.borders import border_band
from backdrop.contract.canvas import Border, Canvas
from backdrop.contract.geometry import Size
from backdrop.contract.limits import MAX_SOFT
from backdrop.contract.mending import mended
from backdrop.contract.numbers import within
from backdrop.contract.placement import Placement
from backdrop.contract.products import Product, place_products
from backdrop.errors import Reason, error
from backdrop.v1 import generation_service_pb2 as pb


@dataclasses.dataclass(frozen=True)
class SoftBorder:
    """How a product's border may change."""

    width: int
    """Pixels of the photo on both sides of the mask's edge in which it is mended, and of the result in which colours
    change."""
    harmonise: float = 0.0
    """How far the colours at the edge go towards the scene's: 0.0 = not at all, 1.0 = entirely."""


def read_soft(message: pb.BackgroundTask) -> SoftBorder | None:
    """The soft border that a request asks for; None for a hard one.

    Raises:
        InvalidRequestError: a value is out of range; the error names the field.
    """
    harmonise = within("background.harmonise", message.harmonise, 0.0, 1.0)
    if not message.HasField("soft"):
        return None
    if not 1 <= message.soft <= MAX_SOFT:
        text = f"background.soft is {message.soft}; it must be 1 to {MAX_SOFT} pixels."
        raise error(Reason.OUT_OF_RANGE, text, field="background.soft")
    return SoftBorder(message.soft, harmonise)


def soften(products: Sequence[Product], soft: SoftBorder | None) -> list[Product]:
    """The products with mended masks; as they were sent where the border is hard."""
    if soft is None:
        return list(products)
    return [
        dataclasses.replace(each, mask=mended(each.picture, each.mask, soft.width), sent=each.mask) for each in products
    ]


def place_soft(
    products: Sequence[Product], placements: Sequence[Placement], size: Size, soft: SoftBorder | None
) -> Canvas:
    """A canvas of `size` on which products are known that `soften` returned; where its border may change, if it may.

    Raises:
        InvalidRequestError: as `place_products` does.
    """
    canvas = place_products(products, placements, size)
    if soft is None:
        return canvas
    # The same place, whichever of the two masks cuts the product out: `Product.outline` is that of both.
    plain = place_products([_as_sent(each) for each in products], placements, size)
    product = np.invert(canvas.make)
    band = border_band(product, soft.width) if soft.harmonise else np.zeros_like(product)
    band[(canvas.make != plain.make) | (canvas.known != plain.known).any(axis=-1) & (product > 0)] = 255
    border = Border(plain.known, plain.make, band, product, soft.width, soft.harmonise)
    return dataclasses.replace(canvas, border=border)


def _as_sent(product: Product) -> Product:
    assert product.sent is not None, "`soften` keeps the mask that was sent"
    return dataclasses.replace(product, mask=product.sent, sent=product.mask)
