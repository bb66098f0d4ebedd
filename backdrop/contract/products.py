"""A product on a canvas: which masks and boxes are refused, and which pixels are known."""

from __future__ import annotations

import numpy as np

from backdrop.contract.arrays import Bytes
from backdrop.contract.canvas import Canvas, Kept, MaskSource
from backdrop.contract.cutouts import paste
from backdrop.contract.geometry import Fit, Rect, Size, bounding_box, place
from backdrop.contract.masks import Matte
from backdrop.contract.read import check_box, read_placement
from backdrop.contract.request_warnings import RequestWarning, WarningReason, warning
from backdrop.errors import Reason, error
from backdrop.v1 import generation_service_pb2 as pb

_PLACEMENT = "background.placement"


def read_product_placement(message: pb.BackgroundTask, size: Size | None) -> Fit | Rect | None:
    """The placement of the product at the delivery size; None leaves it where it is in the photo.

    Raises:
        InvalidRequestError: an alignment is unknown, or the padding is out of range.
    """
    return read_placement(_PLACEMENT, message.placement, size=size, is_set=message.HasField("placement"))


def check_product(mask: Bytes | None, source: MaskSource, placement: Fit | Rect | None, size: Size) -> None:
    """Checks what is known before the segmenter runs: `mask` is None where the segmenter will make it.

    Raises:
        InvalidRequestError: the box is outside the picture, or the mask marks no product, nothing that could be kept
            exactly, or leaves no room for a scene.
    """
    check_box(_PLACEMENT, placement, size)
    if mask is None:
        return
    field = "background.mask" if source is MaskSource.REQUEST else "background.product"
    if not mask.any():
        message = f"{field}: the mask marks no product; 255 means product, 0 scene."
        raise error(Reason.INVALID_MASK, message, field=field)
    if mask.max() < 255:
        message = (
            f"{field}: no pixel of the mask is certain (255), its largest value is {mask.max()}; nothing could be kept"
            " exactly. Scale the mask so that the product's inside is 255."
        )
        raise error(Reason.INVALID_MASK, message, field=field)
    if placement is None and (mask == 255).all():
        message = f"{field}: the mask covers the whole photo; there is no scene to make. Set a placement or size."
        raise error(Reason.INVALID_MASK, message, field=field)


def inverted_warnings(matte: Matte) -> tuple[RequestWarning, ...]:
    """A warning if a sent mask marks all corners and most of the photo, as masks of the scene do."""
    mask = matte.values
    if mask is None or matte.source is not MaskSource.REQUEST:
        return ()
    if mask.min() == 255 or mask.mean() < 128 or mask[[0, 0, -1, -1], [0, -1, 0, -1]].min() < 128:
        return ()
    what = "marks all corners and most of the photo as product (255); send the inverse if it marks the scene"
    return (warning(WarningReason.MASK_MAYBE_INVERTED, "background.mask", what),)


def place_product(picture: Bytes, mask: Bytes, source: MaskSource, placement: Fit | Rect | None, size: Size) -> Canvas:
    """A canvas of `size` on which the product of `picture` [H, W, 3], cut out by `mask` [H, W], is known.

    Raises:
        InvalidRequestError: the product fills the whole canvas.
    """
    cutout = bounding_box(mask)
    assert cutout is not None, "empty masks are refused"
    box = place(cutout, size, placement)
    known, alpha = paste(picture, mask, cutout, size, box)
    if (alpha == 255).all():
        message = "the product fills the whole picture; there is no scene to make. Give it padding or a smaller box."
        raise error(Reason.INVALID_MASK, message, field=_PLACEMENT if placement else "background.mask")
    if placement is None:
        # A denoiser that does not see known pixels has latents of the whole photo blended in.
        known = picture
    unscaled = (box.width, box.height) == (cutout.width, cutout.height)
    return Canvas(known, np.invert(alpha), Kept(box, unscaled, source))
