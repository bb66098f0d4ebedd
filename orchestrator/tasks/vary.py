"""Vary: a picture again. Everything is made; the noise starts from the picture, at the strength that is asked for."""

from __future__ import annotations

from backdrop.contract.canvas import remade
from backdrop.contract.rules import TASKS
from orchestrator.imaging.frame import Frame, frame_of
from orchestrator.tasks.task import Task, TaskInput


def frame(inputs: TaskInput) -> Frame:
    """The picture is known only as the start of the noise; every pixel of it is made again."""
    assert inputs.picture is not None, "the task requires a picture"
    return frame_of(remade(inputs.picture), inputs.buckets)


VARY = Task(TASKS["vary"], frame=frame, picture="picture")
