"""Background: a product photo in a new scene. The product is kept, everything around it is made."""

from __future__ import annotations

from backdrop.contract.geometry import Fit, Rect
from backdrop.contract.parts import Delivery
from backdrop.contract.products import check_product, inverted_warnings, place_product, read_product_placement
from backdrop.contract.rules import TASKS
from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.imaging.frame import Frame, frame_of
from orchestrator.tasks.task import MaskNeed, Task, TaskInput


def read(message: pb.BackgroundTask, delivery: Delivery) -> Fit | Rect | None:
    """The placement of the product; None leaves it where it is in the photo."""
    return read_product_placement(message, delivery.size)


def check(inputs: TaskInput) -> None:
    """Refuses masks without a product or without room for a scene, and boxes outside the picture."""
    check_product(inputs.mask, inputs.mask_source, inputs.options, inputs.size)


def frame(inputs: TaskInput) -> Frame:
    """The product's cut-out on a canvas of the delivery size."""
    assert inputs.picture is not None, "the task requires a picture"
    assert inputs.mask is not None, "a mask was sent, or the segmenter has made it"
    canvas = place_product(inputs.picture, inputs.mask, inputs.mask_source, inputs.options, inputs.size)
    return frame_of(canvas, inputs.buckets)


BACKGROUND = Task(
    TASKS["background"],
    frame=frame,
    read=read,
    check=check,
    picture="product",
    mask=MaskNeed.SEGMENTED,
    mask_warnings=inverted_warnings,
    keeps_pixels=True,
)
