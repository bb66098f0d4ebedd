"""The whole way from a request to a picture in one process: the stages over any `Infer`, one request a call.

It is what a user with the ONNX files and no server would write. The arms `inprocess` and `monolith` differ only in what
answers the model calls. The sampling loop is spelt out here, not borrowed from the orchestrator's
denoise stage: that one is under a scheduler's rule, which these arms do not have.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from backdrop.v1 import generation_service_pb2 as pb
from orchestrator import repository
from orchestrator.api.parse import Parser
from orchestrator.cache import Lookup
from orchestrator.cache.lookups import RequestLookups
from orchestrator.domain import Floats, Job
from orchestrator.repository.tokenize import PromptTokenizers
from orchestrator.sampler import NoiseStream, State, combine, make_solver
from orchestrator.settings import Settings
from orchestrator.stages.decode import decode
from orchestrator.stages.encode import encode
from orchestrator.stages.models import Conditioning, Infer, Models, batch_of
from orchestrator.stages.prepare import Prepared, prepare
from orchestrator.stages.score import score
from orchestrator.stages.select import Variant, select

Arrays = dict[str, npt.NDArray[Any]]


class NoCache:
    """Computes everything each time."""

    async def get_or_compute(self, key: str, compute: Callable[[], Awaitable[Arrays]]) -> Lookup:
        """Returns what `compute` returns."""
        return Lookup(await compute(), "computed")


class Loop:
    """Makes pictures over the models behind `infer`."""

    def __init__(self, folder: Path, infer: Infer) -> None:
        served = repository.load(folder, verify_files=False)
        self._infer = infer
        self._tokenizers = PromptTokenizers(served)
        settings = Settings(triton_endpoints="", repository=folder)  # type: ignore[call-arg]  # the rest has defaults
        self._parser = Parser(settings, served, self._tokenizers)

    async def generate(self, message: bytes) -> bytes:
        """Returns the best picture of a serialized GenerateRequest, encoded as it asks."""
        job, models, conditioning, prepared = await self.begin(message)
        variants = [await self._variant(index, job, models, conditioning, prepared) for index in range(job.variants)]
        return (await select(variants, prepared, job))[0].data

    async def begin(self, message: bytes) -> tuple[Job, Models, Conditioning, Prepared]:
        """What comes before the steps, of a serialized GenerateRequest."""
        job = self._parser.parse(pb.GenerateRequest.FromString(message), "bench")
        models, lookups = Models(job.pipeline, self._infer, job.request_id), RequestLookups(NoCache())
        conditioning = await encode(job, models, self._tokenizers, lookups)
        return job, models, conditioning, await prepare(job, models, lookups)

    async def _variant(
        self, index: int, job: Job, models: Models, conditioning: Conditioning, prepared: Prepared
    ) -> Variant:
        seed = variant_seed(job.seed, index)
        latents = await denoise(job, models, conditioning, prepared, NoiseStream(seed))
        decoded = await decode(latents, prepared, models)
        return Variant(index, seed, decoded, await score(decoded, prepared, conditioning, models))


async def denoise(
    job: Job,
    models: Models,
    conditioning: Conditioning,
    prepared: Prepared,
    noise: NoiseStream,
    look: Callable[[State], Awaitable[None]] | None = None,
) -> Floats:
    """Clean latents [C, h, w] of one variant; both rows of a guided step go in one call. `look` sees every step."""
    spec, bucket = job.pipeline, prepared.scene.bucket
    shape = (spec.latent_channels, bucket.height // spec.latent_factor, bucket.width // spec.latent_factor)
    constant = constant_rows(models, conditioning, prepared)
    rows = len(constant["mask"])
    solver = make_solver(job.scheduler, spec.schedule, job.steps)
    state = solver.begin(noise.initial(shape))
    while state.index < solver.steps:
        sample, timestep = solver.model_input(state)
        asked = {"sample": batch_of(*[sample] * rows), "timestep": np.full((rows, 1), timestep, np.float32)}
        made = (await models.run("denoiser", **asked, **constant))["noise_pred"]
        prediction = made[0] if rows == 1 else combine(made[0], made[1], job.guidance_scale)
        fresh = noise.at_step(state.index, shape) if solver.needs_noise else None
        state = solver.step(state, prediction, fresh)
        if look is not None:
            await look(state)
    return state.sample


def constant_rows(models: Models, conditioning: Conditioning, prepared: Prepared) -> Arrays:
    """The denoiser's inputs that no step changes; the conditional row first. Style pictures are not supported."""
    prompts = [conditioning.positive] + ([conditioning.negative] if conditioning.negative else [])
    rows, bucket = len(prompts), prepared.scene.bucket
    time_ids = np.array([bucket.height, bucket.width, 0, 0, bucket.height, bucket.width], np.float32)
    known: Arrays = {
        "mask": batch_of(*[prepared.scene_input.latent_mask] * rows),
        "masked_image_latents": batch_of(*[prepared.masked_image_latents] * rows),
        "encoder_hidden_states": batch_of(*[prompt.hidden_states for prompt in prompts]),
        "text_embeds": batch_of(*[prompt.pooled for prompt in prompts]),
        "time_ids": batch_of(*[time_ids] * rows),
        "image_scale": np.zeros((rows, 1), np.float32),
        "adapter": np.zeros((rows, 1), np.int64),
        "adapter_scale": np.zeros((rows, 1), np.float32),
    }
    if models.takes("denoiser", "image_tokens"):
        known["image_tokens"] = np.zeros((rows, *models.shape("denoiser", "image_tokens")), np.float32)
    return {name: value for name, value in known.items() if models.takes("denoiser", name)}
