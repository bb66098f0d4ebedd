"""The tasks that this server knows, one page each: how pictures become a frame, and how results are ranked."""

from orchestrator.tasks.background import BACKGROUND
from orchestrator.tasks.erase import ERASE
from orchestrator.tasks.expand import EXPAND
from orchestrator.tasks.fill import FILL
from orchestrator.tasks.relight import RELIGHT
from orchestrator.tasks.shadow import SHADOW
from orchestrator.tasks.task import MaskedPicture, MaskNeed, Task, TaskInput
from orchestrator.tasks.text_to_image import TEXT_TO_IMAGE
from orchestrator.tasks.upscale import UPSCALE
from orchestrator.tasks.vary import VARY

ALL = {task.name: task for task in (BACKGROUND, TEXT_TO_IMAGE, ERASE, FILL, VARY, EXPAND, SHADOW, UPSCALE, RELIGHT)}
"""By their names in the contract."""

__all__ = ["ALL", "MaskNeed", "MaskedPicture", "Task", "TaskInput"]
