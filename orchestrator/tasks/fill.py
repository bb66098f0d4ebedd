"""Fill: what a prompt says inside a mask. Pixels under the mask are made, all others are kept."""

from __future__ import annotations

from backdrop.contract.masks import check_marks, hole_canvas
from backdrop.contract.rules import TASKS
from orchestrator.imaging.frame import Frame, frame_of
from orchestrator.tasks.task import MaskNeed, Task, TaskInput


def check(inputs: TaskInput) -> None:
    """Refuses masks that mark nothing."""
    assert inputs.mask is not None, "the task requires a mask"
    check_marks(inputs.mask, "fill.mask")


def frame(inputs: TaskInput) -> Frame:
    """The whole picture is known, except under the mask."""
    assert inputs.picture is not None, "the task requires a picture"
    assert inputs.mask is not None, "the task requires a mask"
    return frame_of(hole_canvas(inputs.picture, inputs.mask, "fill.mask"), inputs.buckets)


FILL = Task(
    TASKS["fill"],
    frame=frame,
    check=check,
    picture="picture",
    mask=MaskNeed.REQUIRED,
    keeps_pixels=True,
)
