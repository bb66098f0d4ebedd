"""Expand: a picture that continues on its sides. All of the picture is kept, what lies around it is made."""

from __future__ import annotations

from backdrop.contract.expansion import Extent, expanded_canvas, expanded_size, read_extent
from backdrop.contract.geometry import Size
from backdrop.contract.parts import Delivery
from backdrop.contract.rules import TASKS
from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.imaging.frame import Frame, frame_of
from orchestrator.tasks.task import Task, TaskInput


def read(message: pb.ExpandTask, delivery: Delivery) -> Extent:
    """How far the picture is expanded."""
    return read_extent(message, delivery.size)


def size(inputs: TaskInput, max_pixels: int) -> Size:
    """The size of the larger picture; refuses one that is too large, or has nothing to make."""
    assert inputs.picture_size is not None, "the task requires a picture"
    return expanded_size(inputs.options, inputs.picture_size, max_pixels)


def frame(inputs: TaskInput) -> Frame:
    """The picture is known where it lies in the larger one."""
    assert inputs.picture is not None, "the task requires a picture"
    return frame_of(expanded_canvas(inputs.picture, inputs.options), inputs.buckets)


EXPAND = Task(TASKS["expand"], frame=frame, read=read, size=size, picture="picture", keeps_pixels=True)
