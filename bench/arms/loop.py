"""The whole way from a request to a picture in one process: the orchestrator's stages over any `Infer`.

It is what a user with the ONNX files and no server would write. The arms `inprocess` and `monolith` differ only in what
answers the model calls. Nothing is cached, queued or batched here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy.typing as npt

from backdrop.v1 import generation_service_pb2 as pb
from orchestrator import repository
from orchestrator.api.parse import Parser
from orchestrator.cache import Lookup
from orchestrator.cache.lookups import RequestLookups
from orchestrator.domain import Floats, Job
from orchestrator.repository.tokenize import PromptTokenizers
from orchestrator.sampler import NoiseStream, State, make_solver, variant_seed
from orchestrator.settings import Settings
from orchestrator.stages import denoise as stage
from orchestrator.stages.decode import decode
from orchestrator.stages.encode import encode
from orchestrator.stages.models import Conditioning, Infer, Models
from orchestrator.stages.prepare import Prepared, prepare
from orchestrator.stages.score import score
from orchestrator.stages.select import Variant, select

Arrays = dict[str, npt.NDArray[Any]]


class NoCache:
    """Computes everything each time."""

    async def get_or_compute(self, key: str, compute: Callable[[], Awaitable[Arrays]]) -> Lookup:
        """Returns what `compute` returns."""
        return Lookup(await compute(), "computed")


@dataclasses.dataclass(frozen=True)
class LoopRequest:
    """A request that is ready for its steps."""

    job: Job
    models: Models
    conditioning: Conditioning
    prepared: Prepared

    async def denoise(self, noise: NoiseStream, look: Callable[[State], Awaitable[None]] | None = None) -> Floats:
        """Clean latents [C, h, w] of one variant; `look` sees the state after every step."""
        spec, bucket = self.job.pipeline, self.prepared.scene.bucket
        shape = (spec.latent_channels, bucket.height // spec.latent_factor, bucket.width // spec.latent_factor)
        denoiser = stage.GuidedDenoiser(self.job, self.models, self.conditioning, self.prepared)
        solver = make_solver(self.job.scheduler, spec.schedule, self.job.steps)
        state = solver.begin(noise.initial(shape))
        while state.index < solver.steps:
            until = solver.steps if look is None else state.index + 1
            state = await stage.denoise(denoiser, solver, noise, state, until, lambda _: None)
            if look is not None:
                await look(state)
        return state.sample

    async def judge(self, index: int, latents: Floats) -> Variant:
        """The variant of clean latents: decoded and scored."""
        decoded = await decode(latents, self.prepared, self.models)
        scores = await score(decoded, self.prepared, self.conditioning, self.models)
        return Variant(index, variant_seed(self.job.seed, index), decoded, scores)

    async def variant(self, index: int) -> Variant:
        """One variant, from noise to its scores."""
        return await self.judge(index, await self.denoise(NoiseStream(variant_seed(self.job.seed, index))))


class Loop:
    """Runs requests over the models behind `infer`."""

    def __init__(self, folder: Path, infer: Infer) -> None:
        served = repository.load(folder, verify_files=False)
        self._infer = infer
        self._tokenizers = PromptTokenizers(served)
        settings = Settings(triton_endpoints="", repository=folder)  # type: ignore[call-arg]  # the rest has defaults
        self._parser = Parser(settings, served, self._tokenizers)

    async def generate(self, message: bytes) -> bytes:
        """Returns the best picture of a serialized GenerateRequest, encoded as it asks."""
        request = await self.begin(message)
        variants = [await request.variant(index) for index in range(request.job.variants)]
        return (await select(variants, request.prepared, request.job))[0].data

    async def begin(self, message: bytes) -> LoopRequest:
        """What comes before the steps, of a serialized GenerateRequest."""
        job = self._parser.parse(pb.GenerateRequest.FromString(message), "bench")
        models, lookups = Models(job.pipeline, self._infer, job.request_id), RequestLookups(NoCache())
        conditioning = await encode(job, models, self._tokenizers, lookups)
        return LoopRequest(job, models, conditioning, await prepare(job, models, lookups))
