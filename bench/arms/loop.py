"""The whole way from a request to a picture in one process: the orchestrator's stages over any `Infer`.

It is what a user with the ONNX files and no server would write. The arms `inprocess` and `monolith` differ only in what
answers the model calls. Nothing is cached, queued or batched here.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy.typing as npt

from backdrop.contract.parts import Sampling
from backdrop.contract.seeds import variant_seed
from backdrop.v1 import generation_service_pb2 as pb
from orchestrator import repository
from orchestrator.api.info import describe_server
from orchestrator.api.parse import Parser
from orchestrator.arrays import Floats
from orchestrator.cache import Lookup
from orchestrator.cache.lookups import RequestLookups
from orchestrator.imaging.finish import to_bytes
from orchestrator.repository.tokenize import PromptTokenizers
from orchestrator.request import Request
from orchestrator.sampler import NoiseStream, State, make_solver
from orchestrator.settings import Settings
from orchestrator.stages import denoise as stage
from orchestrator.stages.decode import decode
from orchestrator.stages.denoiser_inputs import DenoiserInputs
from orchestrator.stages.embeddings import Embeddings
from orchestrator.stages.encode import encode
from orchestrator.stages.frames import FrameSource, PixelMemory
from orchestrator.stages.models import Infer, Models
from orchestrator.stages.prepare import Prepared, prepare
from orchestrator.stages.score import score
from orchestrator.stages.select import Variant, select

Arrays = dict[str, npt.NDArray[Any]]


class NoCache:
    """Computes everything each time."""

    async def get_or_compute(self, key: str, compute: Callable[[], Awaitable[Arrays]]) -> Lookup:
        """Returns what `compute` returns."""
        return Lookup(await compute(), "computed")


@dataclasses.dataclass(frozen=True, eq=False)
class LoopRequest:
    """A request that is ready for its steps."""

    request: Request
    models: Models
    embeddings: Embeddings
    prepared: Prepared
    source: FrameSource

    @property
    def seed(self) -> int:
        """Of the first variant."""
        return self.request.parts.sampling.seed

    async def denoise(
        self, sampling: Sampling, noise: NoiseStream, look: Callable[[State], Awaitable[None]] | None = None
    ) -> Floats:
        """Clean latents [C, h, w] of one variant; `look` sees the state after every step."""
        spec, size = self.models.pipeline, self.prepared.view.size
        shape = (spec.latent_channels, size.height // spec.latent_factor, size.width // spec.latent_factor)
        inputs = DenoiserInputs(self.embeddings, self.prepared, self.models, self.request.adapters)
        denoiser = stage.GuidedDenoiser(sampling, self.models, inputs)
        solver = make_solver(sampling.scheduler, spec.schedule, sampling.steps)
        state = solver.begin(noise.initial(shape))
        while state.index < solver.steps:
            until = solver.steps if look is None else state.index + 1
            state = await stage.denoise(denoiser, solver, noise, state, until, lambda _: None)
            if look is not None:
                await look(state)
        return state.sample

    async def judge(self, index: int, latents: Floats) -> Variant:
        """The variant of clean latents: decoded and scored."""
        view = self.prepared.view
        decoded = await decode(latents, view, self.models)
        scores = await score(decoded, view, self.embeddings.positive.pooled, self.models, self.request.task.heads)
        return Variant(index, variant_seed(self.seed, index), to_bytes(decoded), scores)

    async def variant(self, index: int) -> Variant:
        """One variant, from noise to its scores."""
        noise = NoiseStream(variant_seed(self.seed, index))
        return await self.judge(index, await self.denoise(self.request.parts.sampling, noise))


class Loop:
    """Runs requests over the models behind `infer`."""

    def __init__(self, folder: Path, infer: Infer) -> None:
        served = repository.load(folder, verify="nothing")
        self._infer = infer
        self._tokenizers = PromptTokenizers(served)
        settings = Settings(triton_endpoints="none:1", repository=folder)  # type: ignore[call-arg]  # the rest has defaults
        self._parser = Parser(describe_server(settings, served), served, self._tokenizers)
        self._memory = PixelMemory(settings.work_megapixels)

    async def generate(self, message: bytes) -> bytes:
        """Returns the best picture of a serialized GenerateRequest, encoded as it asks."""
        ready = await self.begin(message)
        parts = ready.request.parts
        variants = [await ready.variant(index) for index in range(parts.selection.variants)]
        with contextlib.closing(ready.source):
            finished = select(variants, 1, ready.source, ready.models, parts.delivery.format)
            async with contextlib.aclosing(finished) as pictures:
                return (await anext(pictures)).data

    async def begin(self, message: bytes) -> LoopRequest:
        """What comes before the steps, of a serialized GenerateRequest."""
        request = self._parser.parse(pb.GenerateRequest.FromString(message), "bench")
        models, lookups = Models(request.pipeline, self._infer, request.request_id), RequestLookups(NoCache())
        source = FrameSource(request.task, request.read_input, request.pixels_mp, self._memory)
        embeddings = await encode(
            request.read_conditioning(),
            guided=request.parts.sampling.guided,
            models=models,
            tokenizers=self._tokenizers,
            lookups=lookups,
        )
        return LoopRequest(
            request, models, embeddings, await prepare(source, request.parts.sampling, models, lookups), source
        )
