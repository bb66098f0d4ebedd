"""The tasks that this server knows, one page each: what a request needs, how it becomes a frame, who judges it."""

from orchestrator.tasks.background import BACKGROUND
from orchestrator.tasks.erase import ERASE
from orchestrator.tasks.task import MaskNeed, Task, TaskInput
from orchestrator.tasks.text_to_image import TEXT_TO_IMAGE

ALL = {task.name: task for task in (BACKGROUND, TEXT_TO_IMAGE, ERASE)}
"""By their names in the contract."""

__all__ = ["ALL", "MaskNeed", "Task", "TaskInput"]
