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
    adapters = [name for name in task.adapters if name not in pipeline.adapters]
    if adapters:
        return f"its denoiser's bank has no adapter {', '.join(adapters)}."
    if len(task.adapters) > pipeline.adapter_slots:
        return f"its denoiser takes {pipeline.adapter_slots} adapters at once, the task uses {len(task.adapters)}."
    return None


def serves(pipeline: PipelineSpec, task: Task) -> bool:
    """Whether the pipeline has the inputs and adapters that the task needs."""
    return why_not(pipeline, task) is None


def served_tasks(pipeline: PipelineSpec) -> list[str]:
    """Names of the tasks that the pipeline serves."""
    return [name for name, task in ALL.items() if serves(pipeline, task)]
