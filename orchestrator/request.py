"""A request that has passed every check that needs no model: what to make, on which pipeline, and the shared parts."""

from __future__ import annotations

import dataclasses

from backdrop.contract.geometry import Size, nearest_bucket
from backdrop.contract.parts import Parts, row_steps, saved_row_steps, sequential_steps
from orchestrator.repository import PipelineSpec
from orchestrator.tasks import Task, TaskInput

ANONYMOUS = "anonymous"
"""The tenant of callers without an identity."""


@dataclasses.dataclass(frozen=True, eq=False)
class Request:
    """What the api hands to the pipeline. The pipeline hands each stage the part that it reads."""

    request_id: str
    pipeline: PipelineSpec
    task: Task
    input: TaskInput
    parts: Parts

    @property
    def scene_size(self) -> Size:
        """The size at which the models make the pictures; it does not depend on the frame."""
        return nearest_bucket(self.input.size, self.input.buckets)

    @property
    def usage(self) -> Usage:
        """What it costs at the denoiser."""
        sampling, selection = self.parts.sampling, self.parts.selection
        return Usage(row_steps(sampling, selection), saved_row_steps(sampling, selection), self.scene_size.megapixels)

    @property
    def sequential_steps(self) -> int:
        """Steps that one variant takes one after another, its draft's steps included."""
        return sequential_steps(self.parts.sampling, self.parts.selection)


@dataclasses.dataclass(frozen=True)
class Usage:
    """What a request costs: denoiser rows, the rows that its options save, and the size of each in megapixels."""

    row_steps: int
    saved_row_steps: int
    megapixels: float

    @property
    def work(self) -> float:
        """Row-steps × megapixels: what quotas count."""
        return self.row_steps * self.megapixels
