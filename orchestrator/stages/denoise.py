"""Denoise: the sampling loop of one variant, a row or two a step; every step is a place to stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.domain import Floats, Job
from orchestrator.sampler import NoiseStream, Solver, State, combine
from orchestrator.stages.models import Conditioning, Models, batch_of
from orchestrator.stages.prepare import Prepared
from orchestrator.telemetry import span


class GuidedDenoiser:
    """The denoiser for one variant: builds its rows, and combines them by classifier-free guidance.

    Everything but `sample` and `timestep` stays the same from step to step and is laid out once. Outside the guidance
    window (Kynkäänniemi et al. 2024) a step is the prompt's row alone, which is the first of the two.
    """

    def __init__(self, job: Job, models: Models, conditioning: Conditioning, prepared: Prepared) -> None:
        self._models = models
        self._guidance_scale = job.guidance_scale
        prompts = [conditioning.positive] + ([conditioning.negative] if conditioning.negative else [])
        rows = len(prompts)
        self._rows_at = job.rows_at
        self._constant: dict[str, npt.NDArray[Any]] = {
            "mask": batch_of(*[prepared.scene_input.latent_mask] * rows),
            "masked_image_latents": batch_of(*[prepared.masked_image_latents] * rows),
            "encoder_hidden_states": batch_of(*[prompt.hidden_states for prompt in prompts]),
            "text_embeds": batch_of(*[prompt.pooled for prompt in prompts]),
        }
        if models.takes("denoiser", "time_ids"):
            bucket = prepared.scene.bucket
            time_ids = np.array([bucket.height, bucket.width, 0, 0, bucket.height, bucket.width], np.float32)
            self._constant["time_ids"] = batch_of(*[time_ids] * rows)
        if models.takes("denoiser", "image_tokens"):
            self._constant |= _style_rows(conditioning, models.shape("denoiser", "image_tokens"), rows)
        if models.takes("denoiser", "adapter"):
            # Row 0 of a denoiser's bank is no adapter, which is what a request that names none gets.
            self._constant |= {
                "adapter": np.zeros((rows, 1), np.int64),
                "adapter_scale": np.zeros((rows, 1), np.float32),
            }
        for value in self._constant.values():
            value.flags.writeable = False  # which tells whoever sends them that they need not be laid out again

    async def __call__(self, sample: Floats, timestep: float, step: int, steps: int, *, again: bool = False) -> Floats:
        """Predicts for one sample [C, h, w] at one timestep, which is that of a step, counted from 0, of so many.

        `again` says that the next step follows.
        """
        rows = self._rows_at(step, steps)
        inputs = {
            "sample": batch_of(*[sample] * rows),
            "timestep": np.full((rows, 1), timestep, np.float32),
            **{name: value[:rows] for name, value in self._constant.items()},
        }
        outputs = await self._models.step("denoiser", inputs, again=again)
        prediction: Floats = outputs["noise_pred"]
        if rows == 1:
            alone: Floats = prediction[0]
            return alone
        return combine(prediction[0], prediction[1], self._guidance_scale)


def _style_rows(conditioning: Conditioning, shape: tuple[int, ...], rows: int) -> dict[str, Floats]:
    """`image_tokens` [rows, N, D] and `image_scale` [rows, 1]: the style in the first row, zeros in every other.

    A row whose scale is 0 is computed as if the image attention were not there.
    """
    tokens, scale = np.zeros((rows, *shape), np.float32), np.zeros((rows, 1), np.float32)
    if conditioning.image_tokens is not None:
        tokens[0], scale[0] = conditioning.image_tokens, conditioning.image_scale
    return {"image_tokens": tokens, "image_scale": scale}


async def denoise(
    denoiser: GuidedDenoiser,
    solver: Solver,
    noise: NoiseStream,
    state: State,
    until: int,
    on_step: Callable[[State], None],
) -> State:
    """Takes `solver` from a state [C, h, w] to the one after so many steps in all, calling `on_step` after each."""
    shape = state.sample.shape
    while state.index < until:
        sample, timestep = solver.model_input(state)
        with span("step", step=state.index, timestep=timestep):
            prediction = await denoiser(sample, timestep, state.index, solver.steps, again=state.index + 1 < until)
        fresh = noise.at_step(state.index, shape) if solver.needs_noise else None
        state = solver.step(state, prediction, fresh)
        on_step(state)
    return state
