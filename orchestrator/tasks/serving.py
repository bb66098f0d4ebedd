"""Which tasks a pipeline can serve, and why not the others, from what its models take."""

from __future__ import annotations

from orchestrator.repository import PipelineSpec
from orchestrator.tasks import ALL
from orchestrator.tasks.task import Task


def why_not(pipeline: PipelineSpec, task: Task) -> str | None:
    """One sentence on what the pipeline lacks for the task; None if it serves the task.

    Its denoiser need not see known pixels: their latents are blended in then (`stages/blend.py`).
    """
    missing = [role for role in task.roles if role not in pipeline.models]
    if missing:
        return f"it has no {' and no '.join(missing)}."
    return None


def serves(pipeline: PipelineSpec, task: Task) -> bool:
    """Whether the pipeline has the models that the task needs."""
    return why_not(pipeline, task) is None


def served_tasks(pipeline: PipelineSpec) -> list[str]:
    """Names of the tasks that the pipeline serves."""
    return [name for name, task in ALL.items() if serves(pipeline, task)]
