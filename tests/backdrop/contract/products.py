"""Products on canvases, as the tests of the contract's picture arithmetic need them."""

from __future__ import annotations

from backdrop.contract.arrays import Bytes
from backdrop.contract.canvas import Canvas, MaskSource
from backdrop.contract.finishing import composite
from backdrop.contract.geometry import Fit, Size
from backdrop.contract.products import FIRST, Product, place_products
from tests.pictures import noisy_photo


def product_canvas(photo: Bytes, mask: Bytes, size: Size | None = None, placement: Fit | None = None) -> Canvas:
    """A product that is kept; without a size it stays where it is."""
    size = size or Size(photo.shape[1], photo.shape[0])
    return place_products([Product(FIRST, photo, mask, MaskSource.REQUEST)], (placement,), size)


def finished(canvas: Canvas) -> Bytes:
    """A picture of noise around what is known."""
    return composite(noisy_photo(canvas.size.width, canvas.size.height, 5), canvas)
