"""Relight: a product's border, and perhaps its light, take on the scene's colours. No model makes it."""

from __future__ import annotations

from backdrop.contract.parts import Delivery
from backdrop.contract.relighting import Relight, read_relight, relit_canvas
from backdrop.contract.rules import TASKS
from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.imaging.frame import Frame, frame_of
from orchestrator.tasks.task import MaskNeed, Task, TaskInput


def read(message: pb.RelightTask, delivery: Delivery) -> Relight:
    """What may change, and how far."""
    return read_relight(message)


def frame(inputs: TaskInput) -> Frame:
    """The picture is known, except in the product's band; the picture itself is the scene."""
    assert inputs.picture is not None, "the task requires a picture"
    assert inputs.mask is not None, "a mask was sent, or the segmenter has made it"
    return frame_of(relit_canvas(inputs.picture, inputs.mask, inputs.mask_source, inputs.options), inputs.buckets)


RELIGHT = Task(
    TASKS["relight"],
    frame=frame,
    read=read,
    picture="picture",
    mask=MaskNeed.SEGMENTED,
)
