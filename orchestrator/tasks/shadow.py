"""Shadow: a shadow under a product on any scene. It is computed from the product's outline; no model makes it."""

from __future__ import annotations

from backdrop.contract.parts import Delivery
from backdrop.contract.rules import TASKS
from backdrop.contract.shadows import Shadow, read_shadow, shadowed_canvas
from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.imaging.frame import Frame, frame_of
from orchestrator.tasks.task import MaskNeed, Task, TaskInput


def read(message: pb.ShadowTask, delivery: Delivery) -> Shadow:
    """What the shadow looks like."""
    return read_shadow(message)


def frame(inputs: TaskInput) -> Frame:
    """The picture is known, except where the shadow lies; the darkened picture is the scene."""
    assert inputs.picture is not None, "the task requires a picture"
    assert inputs.mask is not None, "a mask was sent, or the segmenter has made it"
    return frame_of(shadowed_canvas(inputs.picture, inputs.mask, inputs.mask_source, inputs.options), inputs.buckets)


SHADOW = Task(
    TASKS["shadow"],
    frame=frame,
    read=read,
    picture="picture",
    mask=MaskNeed.SEGMENTED,
)
