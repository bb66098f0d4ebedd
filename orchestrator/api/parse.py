"""GenerateRequest to Request: the contract's checks of fields and headers; pictures are decoded later."""

from __future__ import annotations

import dataclasses
import functools

from backdrop.contract.effects import idle_fields
from backdrop.contract.parts import Conditioning, Priority, Sampling
from backdrop.contract.read import check_idempotency_key, read_parts, read_pipeline
from backdrop.contract.rules import read_task
from backdrop.errors import Reason, error
from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import info_service_pb2 as info_pb
from orchestrator.api.encoded import EncodedPictures, clip_pixels
from orchestrator.decoding import HERE, Decoder
from orchestrator.repository import PipelineSpec, Repository
from orchestrator.repository.tokenize import PromptTokenizers
from orchestrator.request import Request, SentPictures
from orchestrator.sampler import make_solver
from orchestrator.tasks import ALL, MaskNeed, Task, TaskInput

_CLASSES = {each.value: each for each in Priority}


@dataclasses.dataclass(frozen=True)
class Parser:
    """Turns messages into requests. It decodes no picture, so it is quick enough for the event loop.

    `info` is what the server says about itself; the contract's checks use nothing else.
    """

    info: info_pb.GetInfoResponse
    repository: Repository
    tokenizers: PromptTokenizers
    decoder: Decoder = HERE

    def parse(self, message: pb.GenerateRequest, request_id: str) -> Request:
        """Checks the fields of `message` and the headers of its pictures, and fills in every default.

        Faults of the pixels are found when `Request.sent` is read.

        Raises:
            InvalidRequestError: a field is wrong; the error names it.
            NotFoundError: the pipeline, or an adapter of it, is not served.
        """
        rules = read_task(message)
        task = ALL[rules.name]
        described = read_pipeline(message, rules, self.info)
        pipeline = self.repository.pipelines[described.name]
        check_idempotency_key(message.idempotency_key)
        parts = read_parts(message, rules, described, self.info, lambda text: self.tokenizers.count(pipeline, text))
        _check_steps(parts.sampling, pipeline)
        _check_slots(parts.conditioning, task, pipeline)
        options = task.read(getattr(message, rules.name), parts.delivery)
        clip = pipeline.conventions.image_preprocess
        resample = None if clip is None else functools.partial(clip_pixels, resize=clip.resize, crop=clip.crop)
        encoded = EncodedPictures(task, message, described, self.info.limits.max_pixels, resample, self.decoder)
        sizes = encoded.sizes()
        own = sizes.pictures[0] if sizes.pictures else None
        strength = parts.sampling.strength
        task_input = TaskInput(options, pipeline.buckets, parts.delivery.size, picture_size=own, strength=strength)
        layouts = task.layouts(getattr(message, rules.name), task_input, self.info.limits)
        layouts = layouts or ((options, task.size(task_input, self.info.limits.max_pixels)),)
        task_input, *more = (
            dataclasses.replace(task_input, options=each, delivery_size=size) for each, size in layouts
        )
        if task.mask is not MaskNeed.REQUIRED:
            task.check(task_input)
        sent = SentPictures(
            size_bytes=message.ByteSize(),
            megapixels=sizes.megapixels,
            styles=len(message.conditioning.style_images),
            read_input=functools.partial(encoded.read_input, task_input),
            read_style=encoded.read_style,
        )
        notes = idle_fields(message, parts)
        return Request(request_id, pipeline, task, task_input, parts, sent, notes, tuple(more))


def class_of(number: int) -> Priority:
    """The class of a message's `priority`, before it is checked; that of an unknown number is the default's."""
    return _CLASSES.get(number, Priority.STANDARD)


def _check_steps(sampling: Sampling, pipeline: PipelineSpec) -> None:
    """Raises InvalidRequestError when the solver does not have that many timesteps on the pipeline's schedule."""
    if not sampling.steps:
        return
    try:
        make_solver(sampling.scheduler, pipeline.schedule, sampling.steps)
    except ValueError as problem:
        message = f"sampling.steps is {sampling.steps}, too many here: {problem}."
        raise error(Reason.OUT_OF_RANGE, message, field="sampling.steps") from None


def _check_slots(conditioning: Conditioning, task: Task, pipeline: PipelineSpec) -> None:
    """Raises InvalidRequestError when the request's adapters and the task's own are more than a row takes."""
    own = pipeline.task_adapters.get(task.name, {})
    names = {each.name for each in conditioning.adapters} | set(own)
    if conditioning.adapters and len(names) > pipeline.adapter_slots:
        free = pipeline.adapter_slots - len(own)
        message = f"conditioning.adapters: {task.name} has adapters of its own; it leaves room for {free}."
        raise error(Reason.OUT_OF_RANGE, message, field="conditioning.adapters")
