"""Erase: a picture without something that is in it. Pixels under the mask are made, all others are kept."""

from __future__ import annotations

from backdrop.contract.erasing import hole_around, read_grow
from backdrop.contract.masks import check_marks, hole_canvas
from backdrop.contract.parts import Delivery
from backdrop.contract.rules import TASKS
from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.imaging.frame import Frame, frame_of
from orchestrator.tasks.task import MaskNeed, Task, TaskInput


def read(message: pb.EraseTask, delivery: Delivery) -> int | None:
    """By how many pixels the mask is widened; None for the default."""
    return read_grow(message)


def check(inputs: TaskInput) -> None:
    """Refuses masks that mark nothing."""
    assert inputs.mask is not None, "the task requires a mask"
    check_marks(inputs.mask, "erase.mask")


def frame(inputs: TaskInput) -> Frame:
    """The whole picture is known, except under the widened mask."""
    assert inputs.picture is not None, "the task requires a picture"
    assert inputs.mask is not None, "the task requires a mask"
    hole = hole_around(inputs.mask, inputs.options)
    return frame_of(hole_canvas(inputs.picture, hole, "erase.mask"), inputs.buckets)


ERASE = Task(
    TASKS["erase"],
    frame=frame,
    read=read,
    check=check,
    picture="picture",
    mask=MaskNeed.REQUIRED,
    keeps_pixels=True,
    # "fidelity" is the fidelity to a prompt, and there is none.
    heads=("defects", "aesthetics"),
)
