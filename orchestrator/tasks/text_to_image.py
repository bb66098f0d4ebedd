"""Text-to-image: a whole picture from a prompt, or from style pictures. Nothing is kept, everything is made."""

from __future__ import annotations

from backdrop.contract.canvas import blank
from backdrop.contract.rules import TASKS
from orchestrator.imaging.frame import Frame, frame_of
from orchestrator.tasks.task import Task, TaskInput


def frame(inputs: TaskInput) -> Frame:
    """An empty canvas of the delivery size."""
    return frame_of(blank(inputs.size), inputs.buckets)


TEXT_TO_IMAGE = Task(TASKS["text_to_image"], frame=frame)
