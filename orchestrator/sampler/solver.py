"""What every solver is: a state that is a value, the noise levels it visits, and functions from state to state.

Nothing is remembered between calls. A step that failed on one replica is redone on another from the same state with
the same result, and a request can be set aside between any two steps.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.sampler.prediction import Array, Denoised, ModelCall, Prediction

_ONE = np.float32(1)


@dataclasses.dataclass(frozen=True, eq=False)
class State:
    """Where a trajectory stands between two model calls.

    Attributes:
        sample: float32 [..., C, h, w], in the solver's own scaling; `Solver.model_input` is what the model takes.
        index: steps done; equal to `Solver.steps` when `sample` is the result.
        predicted_clean: the last step's estimate of the clean latents, for previews; None before the first step.
        history: what a multistep solver keeps of earlier steps.
        first: the step that the trajectory began with.
    """

    sample: Array
    index: int
    predicted_clean: Array | None = None
    history: tuple[Array, ...] = ()
    first: int = 0

    def after(self, sample: Array, predicted_clean: Array, history: tuple[Array, ...] = ()) -> State:
        """The state one step later."""
        return State(sample, self.index + 1, predicted_clean, history, self.first)


@dataclasses.dataclass(frozen=True, eq=False)
class NoiseLevels:
    """The points that a solver visits, noisiest first; there, sample = signal · clean + noise · standard normal.

    Attributes:
        timesteps: as the model takes them.
        signal: float32; factor of the clean latents at each point.
        noise: float32; factor of the noise at each point.
        pure_noise: factor of the noise that a trajectory begins with where it has no clean latents to begin from.
    """

    timesteps: NDArray[Any]
    signal: NDArray[np.float32]
    noise: NDArray[np.float32]
    pure_noise: np.float32 = _ONE


def preserving_levels(timesteps: NDArray[np.int64], alpha_bar: NDArray[np.float32]) -> NoiseLevels:
    """The levels of variance-preserving samples at some timesteps; `alpha_bar` has ᾱ of every timestep of training."""
    visited = alpha_bar[timesteps]
    return NoiseLevels(timesteps, np.sqrt(visited), np.sqrt(_ONE - visited))


class Solver(abc.ABC):
    """A numerical method on one schedule with a fixed number of steps. No method changes its arguments.

    Subclasses are the methods: they take the denoised estimate of each step, never the output of the model.

    Attributes:
        needs_noise: whether `step` needs fresh standard-normal noise.
        steps: number of model calls from pure noise.
        extra_calls: how many of them are beyond the steps that were requested.
    """

    needs_noise = False
    extra_calls = 0

    def __init__(self, levels: NoiseLevels, prediction: Prediction, clip: float | None = None) -> None:
        self.steps = len(levels.timesteps)
        self._levels = levels
        self._prediction = prediction
        self._clip = clip

    def begin(self, noise: Array, start: Array | None = None, at: int = 0) -> State:
        """Returns the state before step `at`: clean latents with noise of that level, or pure noise.

        Args:
            noise: standard normal, float32 [..., C, h, w].
            start: clean latents of the same shape, of which the level of step `at` keeps a part; None = pure noise.
            at: steps that are skipped; 0 without `start`. `steps` skips all of them: the state is the result.

        Raises:
            ValueError: `at` is no step of the solver, it skips steps of pure noise, or the shapes differ.
        """
        if not 0 <= at <= self.steps:
            raise ValueError(f"the trajectory has {self.steps} steps, so none can begin after {at}")
        if start is None:
            if at:
                raise ValueError(f"pure noise begins at step 0, not at {at}")
            return State(noise.astype(np.float32) * self._levels.pure_noise, index=0)
        if start.shape != noise.shape:
            raise ValueError(f"the clean latents have shape {start.shape}, the noise {noise.shape}")
        return State(self.noised(start.astype(np.float32), noise.astype(np.float32), at), index=at, first=at)

    def noised(self, clean: Array, noise: Array, at: int) -> Array:
        """Returns clean latents with standard-normal noise of the level before step `at`; after the last step none.

        diffusers' `add_noise`, and `scale_noise` of flows.
        """
        if at == self.steps:
            return clean
        noisy: Array = self._levels.signal[at] * clean + self._levels.noise[at] * noise
        return noisy

    def model_input(self, state: State) -> tuple[Array, float]:
        """Returns the sample as the model takes it, float32 of the state's shape, and the row's timestep."""
        return state.sample, float(self._levels.timesteps[state.index])

    def step(
        self,
        state: State,
        output: Array,
        noise: Array | None = None,
        move: Callable[[Array], Array] | None = None,
    ) -> State:
        """Returns the state after the next step.

        Args:
            state: where the trajectory stands; `state.index` must be below `steps`.
            output: what the model returned for `model_input(state)`, guidance already applied; same shape.
            noise: standard normal of the same shape, if `needs_noise`; not used on the last step.
            move: changes the clean estimate; the direction stays that of the model's own, as with clipping.

        Raises:
            ValueError: the trajectory is already complete, a shape differs, or noise is missing.
        """
        sample, index = state.sample, state.index
        if not 0 <= index < self.steps:
            raise ValueError(f"the trajectory has {self.steps} steps, and {index} are done")
        if output.shape != sample.shape:
            raise ValueError(f"the prediction has shape {output.shape}, the sample {sample.shape}")
        if self.needs_noise and index < self.steps - 1 and (noise is None or noise.shape != sample.shape):
            raise ValueError(f"a step of {type(self).__name__} needs noise of shape {sample.shape}")
        call = ModelCall(sample, output, self._levels.signal[index], self._levels.noise[index])
        denoised = self._prediction.denoised(call).clipped(self._clip)
        if move is not None:
            denoised = Denoised(move(denoised.clean), denoised.direction)
        return self.advance(state, denoised, noise)

    @abc.abstractmethod
    def advance(self, state: State, denoised: Denoised, noise: Array | None) -> State:
        """One step of the method; the arguments have been checked."""
