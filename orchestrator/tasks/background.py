"""Background: a product photo, or several, in a new scene. Products are kept, everything around them is made."""

from __future__ import annotations

from backdrop.contract.geometry import Size
from backdrop.contract.layouts import read_layouts
from backdrop.contract.parts import Delivery
from backdrop.contract.placement import Placement
from backdrop.contract.products import (
    FIRST,
    Product,
    check_boxes,
    check_photos,
    check_product,
    inverted_warnings,
    on_scene,
    place_products,
    read_placements,
)
from backdrop.contract.rules import TASKS
from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1.info_service_pb2 import Limits
from orchestrator.imaging.frame import Frame, frame_of
from orchestrator.tasks.task import MaskedPicture, MaskNeed, Task, TaskInput


def read(message: pb.BackgroundTask, delivery: Delivery) -> tuple[Placement, ...]:
    """The placement of each product; None leaves it where it is in its photo."""
    return read_placements(message, delivery.size)


def layouts(
    message: pb.BackgroundTask, inputs: TaskInput, limits: Limits
) -> tuple[tuple[tuple[Placement, ...], Size], ...]:
    """The placements and the size of each layout."""
    assert inputs.picture_size is not None, "the task requires a picture"
    read = read_layouts(message, inputs.delivery_size, inputs.picture_size, limits)
    return tuple((layout.placements, layout.size) for layout in read)


def check(inputs: TaskInput) -> None:
    """Refuses masks without a product or without room for a scene, and boxes outside the picture."""
    check_boxes(inputs.options, inputs.size)
    check_product(FIRST, inputs.mask, inputs.mask_source, alone=inputs.options == (None,))
    for each in inputs.more:
        check_product(each.field, each.mask, each.mask_source, alone=False)


def frame(inputs: TaskInput) -> Frame:
    """The products' cut-outs on a canvas of the delivery size."""
    products = [_product(each) for each in inputs.pictures(FIRST)]
    canvas = place_products(products, inputs.options, inputs.size)
    return frame_of(on_scene(canvas, inputs.start, inputs.strength), inputs.buckets)


def _product(sent: MaskedPicture) -> Product:
    assert sent.mask is not None, "a mask was sent, or the segmenter has made it"
    return Product(sent.field, sent.picture, sent.mask, sent.mask_source)


BACKGROUND = Task(
    TASKS["background"],
    frame=frame,
    read=read,
    layouts=layouts,
    check=check,
    picture="product",
    mask=MaskNeed.SEGMENTED,
    more="more_products",
    start="scene",
    check_sizes=check_photos,
    mask_warnings=inverted_warnings,
    keeps_pixels=True,
)
