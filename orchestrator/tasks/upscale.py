"""Upscale: a picture at two or four times its size. The picture is the scene, and the upscaler enlarges it."""

from __future__ import annotations

from backdrop.contract.geometry import Size
from backdrop.contract.parts import Delivery
from backdrop.contract.rules import TASKS
from backdrop.contract.upscaling import read_factor, upscaled_canvas, upscaled_size
from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.imaging.frame import Frame, frame_of
from orchestrator.repository import UPSCALER
from orchestrator.tasks.task import Task, TaskInput


def read(message: pb.UpscaleTask, delivery: Delivery) -> int:
    """By which factor the picture is enlarged."""
    return read_factor(message)


def size(inputs: TaskInput, max_pixels: int) -> Size:
    """The size of the larger picture; refuses one that is too large."""
    assert inputs.picture_size is not None, "the task requires a picture"
    return upscaled_size(inputs.options, inputs.picture_size, max_pixels)


def frame(inputs: TaskInput) -> Frame:
    """Nothing is known; the picture is the scene."""
    assert inputs.picture is not None, "the task requires a picture"
    return frame_of(upscaled_canvas(inputs.picture, inputs.options), inputs.buckets)


UPSCALE = Task(
    TASKS["upscale"],
    frame=frame,
    read=read,
    size=size,
    picture="picture",
    keeps_alpha=True,
    roles=(UPSCALER,),
)
