"""Erase: a picture without something that is in it. The mask is made from its surroundings, the rest is kept."""

from __future__ import annotations

from backdrop.contract.geometry import Rect
from backdrop.contract.masks import check_erased, read_grow, widened
from backdrop.contract.parts import Delivery
from backdrop.contract.rules import TASKS
from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.imaging.frame import Frame, Kept, MaskSource, frame_of
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
    kept = Kept(Rect(0, 0, inputs.size.width, inputs.size.height), unscaled=True, mask_source=MaskSource.REQUEST)
    return frame_of(inputs.picture, widened(inputs.mask, inputs.options), kept, inputs.buckets)


ERASE = Task(
    TASKS["erase"],
    frame=frame,
    read=read,
    check=check,
    picture="picture",
    mask=MaskNeed.REQUIRED,
    # Without a prompt there is no fidelity to it.
    heads=("defects", "aesthetics"),
)
