"""Background: a product photo, or several, in a new scene. Products are kept, everything around them is made."""

from __future__ import annotations

import dataclasses

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
    read_placements,
)
from backdrop.contract.rules import TASKS
from backdrop.contract.softness import SoftBorder, place_soft, read_soft, soften
from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1.info_service_pb2 import Limits
from orchestrator.imaging.frame import Frame, frame_of
from orchestrator.tasks.task import MaskedPicture, MaskNeed, Task, TaskInput


@dataclasses.dataclass(frozen=True)
class Arrangement:
    """Where the products stand, and how their borders join the scene."""

    placements: tuple[Placement, ...]
    """Of each product; None leaves it where it is in its photo."""
    soft: SoftBorder | None = None
    """None: hard borders, the cut-outs are used as they were sent."""


def read(message: pb.BackgroundTask, delivery: Delivery) -> Arrangement:
    """The products' places and borders."""
    return Arrangement(read_placements(message, delivery.size), read_soft(message))


def layouts(message: pb.BackgroundTask, inputs: TaskInput, limits: Limits) -> tuple[tuple[Arrangement, Size], ...]:
    """The arrangement and the size of each layout."""
    assert inputs.picture_size is not None, "the task requires a picture"
    read = read_layouts(message, inputs.delivery_size, inputs.picture_size, limits)
    soft = read_soft(message)
    return tuple((Arrangement(layout.placements, soft), layout.size) for layout in read)


def check(inputs: TaskInput) -> None:
    """Refuses masks without a product or without room for a scene, and boxes outside the picture."""
    placements = inputs.options.placements
    check_boxes(placements, inputs.size)
    check_product(FIRST, inputs.mask, inputs.mask_source, alone=placements == (None,))
    for each in inputs.more:
        check_product(each.field, each.mask, each.mask_source, alone=False)


def frame(inputs: TaskInput) -> Frame:
    """The products' cut-outs on a canvas of the delivery size."""
    products = [_product(each) for each in inputs.pictures(FIRST)]
    arrangement: Arrangement = inputs.options
    products = soften(products, arrangement.soft)
    canvas = place_soft(products, arrangement.placements, inputs.size, arrangement.soft)
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
