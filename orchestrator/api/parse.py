"""GenerateRequest to Request: the contract's checks, then the pictures, then the task's own checks."""

from __future__ import annotations

import dataclasses
from typing import Any

from backdrop.contract.masks import read_mask
from backdrop.contract.parts import Conditioning, Sampling
from backdrop.contract.pictures import decode_photo, decode_style
from backdrop.contract.read import check_idempotency_key, read_parts, read_pipeline
from backdrop.contract.rules import read_task
from backdrop.errors import Reason, error
from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import info_service_pb2 as info_pb
from orchestrator.repository import PipelineSpec, Repository
from orchestrator.repository.tokenize import PromptTokenizers
from orchestrator.request import Request
from orchestrator.sampler import make_solver
from orchestrator.tasks import ALL, MaskNeed, Task, TaskInput


@dataclasses.dataclass(frozen=True)
class Parser:
    """Turns messages into requests. It decodes pictures and blocks, so call it outside the event loop.

    `info` is what the server says about itself; the contract's checks use nothing else.
    """

    info: info_pb.GetInfoResponse
    repository: Repository
    tokenizers: PromptTokenizers

    def parse(self, message: pb.GenerateRequest, request_id: str) -> Request:
        """Checks `message` and fills in every default.

        Raises:
            InvalidRequestError: a field is wrong; the error names it.
            NotFoundError: the pipeline is not served.
        """
        rules = read_task(message)
        task = ALL[rules.name]
        described = read_pipeline(message, rules, self.info)
        pipeline = self.repository.pipelines[described.name]
        check_idempotency_key(message.idempotency_key)
        parts = read_parts(message, rules, described, self.info, lambda text: self.tokenizers.count(pipeline, text))
        _check_steps(parts.sampling, pipeline)
        options = task.read(getattr(message, rules.name), parts.delivery)
        task_input = TaskInput(options, pipeline.buckets, parts.delivery.size)
        task_input = self._decode(task, getattr(message, rules.name), task_input)
        task.check(task_input)
        conditioning = self._with_style(parts.conditioning, message.conditioning)
        parts = dataclasses.replace(parts, conditioning=conditioning)
        return Request(request_id, pipeline, task, task_input, parts)

    def _with_style(self, conditioning: Conditioning, message: pb.Conditioning) -> Conditioning:
        style = decode_style(message, max_pixels=self.info.limits.max_pixels)
        return dataclasses.replace(conditioning, style=style)

    def _decode(self, task: Task, message: Any, task_input: TaskInput) -> TaskInput:
        """The task's pictures; a mask has exactly the picture's size."""
        if not task.picture:
            return task_input
        max_pixels = self.info.limits.max_pixels
        field = f"{task.name}.{task.picture}"
        photo = decode_photo(getattr(message, task.picture), max_pixels=max_pixels, field=field)
        task_input = dataclasses.replace(task_input, picture=photo.rgb)
        if task.mask is MaskNeed.NONE:
            return task_input
        mask, source = read_mask(message.mask, photo, max_pixels=max_pixels, field=f"{task.name}.mask")
        return dataclasses.replace(task_input, mask=mask, mask_source=source)


def _check_steps(sampling: Sampling, pipeline: PipelineSpec) -> None:
    """Raises InvalidRequestError when the solver does not have that many timesteps on the pipeline's schedule."""
    try:
        make_solver(sampling.scheduler, pipeline.schedule, sampling.steps)
    except ValueError as problem:
        message = f"sampling.steps is {sampling.steps}, too many here: {problem}."
        raise error(Reason.OUT_OF_RANGE, message, field="sampling.steps") from None
