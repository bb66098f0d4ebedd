"""Erase: a picture without something that is in it. Pixels under the mask are made, all others are kept."""

from __future__ import annotations

from backdrop.contract.masks import check_erased, erased_canvas, read_grow
from backdrop.contract.parts import Delivery
from backdrop.contract.rules import TASKS
from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.imaging.frame import Frame, frame_of
from orchestrator.tasks.task import MaskNeed, Task, TaskInput


def read(message: pb.EraseTask, delivery: Delivery) -> int | None:
    """By how many pixels the mask is widened; None for the default."""
    return read_grow(message)


def check(inputs: TaskInput) -> None:
    """Refuses masks that mark nothing, or everything."""
    assert inputs.mask is not None, "the task requires a mask"
    check_erased(inputs.mask, inputs.options)


def frame(inputs: TaskInput) -> Frame:
    """The whole picture is known, except under the widened mask."""
    assert inputs.picture is not None, "the task requires a picture"
    assert inputs.mask is not None, "the task requires a mask"
    return frame_of(erased_canvas(inputs.picture, inputs.mask, inputs.options), inputs.buckets)


ERASE = Task(
    TASKS["erase"],
    frame=frame,
    read=read,
    check=check,
    picture="picture",
    mask=MaskNeed.REQUIRED,
    # "fidelity" is the fidelity to a prompt, and there is none.
    heads=("defects", "aesthetics"),
)
