"""Which tasks a pipeline can serve, from what its models take."""

from __future__ import annotations

from orchestrator.repository import PipelineSpec
from orchestrator.tasks import ALL
from orchestrator.tasks.task import Task


def serves(pipeline: PipelineSpec, task: Task) -> bool:
    """Whether the pipeline has the inputs and adapters that the task needs."""
    sees_known_pixels = "masked_image_latents" in pipeline.denoiser_inputs
    has_adapters = set(task.adapters) <= set(pipeline.models["denoiser"].adapters)
    return (sees_known_pixels or not task.keeps_pixels) and has_adapters


def served_tasks(pipeline: PipelineSpec) -> list[str]:
    """Names of the tasks that the pipeline serves."""
    return [name for name, task in ALL.items() if serves(pipeline, task)]
