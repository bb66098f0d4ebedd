"""Background: a product photo in a new scene. The product is kept, everything around it is made."""

from __future__ import annotations

import numpy as np

from backdrop.contract.geometry import Fit, Rect, bounding_box, place
from backdrop.contract.parts import Delivery
from backdrop.contract.read import check_box, read_placement
from backdrop.contract.rules import TASKS
from backdrop.errors import Reason, error
from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.arrays import Bytes
from orchestrator.imaging.cutout import paste
from orchestrator.imaging.frame import Frame, Kept, MaskSource, frame_of
from orchestrator.tasks.task import MaskNeed, Task, TaskInput

_PLACEMENT = "background.placement"
_FIELD_OF_MASK = {MaskSource.REQUEST: "background.mask", MaskSource.ALPHA: "background.product"}


def read(message: pb.BackgroundTask, delivery: Delivery) -> Fit | Rect | None:
    """The placement of the product; None leaves it where it is in the photo."""
    is_set = message.HasField("placement")
    return read_placement(_PLACEMENT, message.placement, size=delivery.size, is_set=is_set)


def check(inputs: TaskInput) -> None:
    """Refuses masks without a product or without room for a scene, and boxes outside the picture."""
    check_box(_PLACEMENT, inputs.options, inputs.size)
    if inputs.mask is None:
        return
    field = _FIELD_OF_MASK[inputs.mask_source]
    if not inputs.mask.any():
        message = f"{field}: the mask marks no product; 255 means product, 0 scene."
        raise error(Reason.INVALID_MASK, message, field=field)
    if inputs.options is None and (inputs.mask == 255).all():
        message = f"{field}: the mask covers the whole photo; there is no scene to make. Set a placement or size."
        raise error(Reason.INVALID_MASK, message, field=field)


def frame(inputs: TaskInput) -> Frame:
    """The product's cut-out on a canvas of the delivery size."""
    assert inputs.picture is not None, "the task requires a picture"
    assert inputs.mask is not None, "a mask was sent, or the segmenter has made it"
    cutout = bounding_box(inputs.mask)
    assert cutout is not None, "empty masks are refused"
    box = place(cutout, inputs.size, inputs.options)
    known, alpha = paste(inputs.picture, inputs.mask, cutout, inputs.size, box)
    if (alpha == 255).all():
        message = "the product fills the whole picture; there is no scene to make. Give it padding or a smaller box."
        raise error(Reason.INVALID_MASK, message, field=_PLACEMENT if inputs.options else "background.mask")
    unscaled = (box.width, box.height) == (cutout.width, cutout.height)
    make: Bytes = np.invert(alpha)
    return frame_of(known, make, Kept(box, unscaled, inputs.mask_source), inputs.buckets)


BACKGROUND = Task(
    TASKS["background"],
    frame=frame,
    read=read,
    check=check,
    picture="product",
    mask=MaskNeed.SEGMENTED,
)
