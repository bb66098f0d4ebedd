"""Denoise: the sampling loop of one variant, one or two rows a step and tile; it can be stopped at every step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np

from backdrop.contract.parts import Sampling
from orchestrator.arrays import Floats
from orchestrator.sampler import NoiseStream, Solver, State, combine
from orchestrator.stages.blend import Blend
from orchestrator.stages.denoiser_inputs import DenoiserInputs
from orchestrator.stages.models import Models
from orchestrator.stages.palette import PaletteGuide
from orchestrator.telemetry import span


class GuidedDenoiser:
    """The denoiser for the variants of one request: builds their rows, and combines them by classifier-free guidance.

    All inputs except `sample` and `timestep` are the same in every step, so they are laid out once. Outside the
    guidance window (Kynkäänniemi et al. 2024) a step has only the prompt's rows, which come first. All tiles of a
    sample are rows of one call; where they overlap, their predictions are averaged (MultiDiffusion, Bar-Tal et al.
    2023).
    """

    def __init__(self, sampling: Sampling, models: Models, inputs: DenoiserInputs) -> None:
        self._sampling = sampling
        self._models = models
        self._constant = inputs.constant_rows()
        self._tiling = inputs.prepared.view.tiling

    async def __call__(self, sample: Floats, timestep: float, step: int, steps: int, *, again: bool = False) -> Floats:
        """Predicts for one sample [C, h, w] at the timestep of step `step`, counted from 0, of `steps`.

        `again`: another step of the variant follows at once.
        """
        prompts, tiles = self._sampling.rows_at(step, steps), self._tiling.cut(sample)
        rows = prompts * len(tiles)
        inputs = {
            "sample": np.concatenate([tiles] * prompts),
            "timestep": np.full((rows, 1), timestep, np.float32),
            **{name: value[:rows] for name, value in self._constant.items()},
        }
        outputs = await self._models.step("denoiser", inputs, again=again)
        prediction: Floats = outputs["noise_pred"]
        if prompts == 2:
            conditional, unconditional = prediction[: len(tiles)], prediction[len(tiles) :]
            prediction = combine(conditional, unconditional, self._sampling.guidance_scale)
        return self._tiling.merge(prediction)


async def denoise(
    denoiser: GuidedDenoiser,
    solver: Solver,
    noise: NoiseStream,
    state: State,
    until: int,
    on_step: Callable[[State], None],
    blend: Blend | None = None,
    guide: PaletteGuide | None = None,
) -> State:
    """Steps `solver` from a state [C, h, w] until `until` steps are done; calls `on_step` after each step.

    `blend` puts known latents into the sample after each step; None where the denoiser sees them, or nothing is known.
    `guide` moves the predicted latents towards a palette.
    """
    shape = state.sample.shape
    initial = None if blend is None else noise.initial(shape)
    while state.index < until:
        sample, timestep = solver.model_input(state)
        with span("step", step=state.index, timestep=timestep):
            prediction = await denoiser(sample, timestep, state.index, solver.steps, again=state.index + 1 < until)
        fresh = noise.at_step(state.index, shape) if solver.needs_noise else None
        if guide is None:
            state = solver.step(state, prediction, fresh)
        else:
            # Moving colours takes up to 20 ms, in which nothing else of the server would go on.
            state = await asyncio.to_thread(solver.step, state, prediction, fresh, guide.latents)
        if blend is not None and initial is not None:
            state = blend.into(state, solver, initial)
        on_step(state)
    return state
