"""What every solver takes and gives: a state that is a value, and three functions from state to state.

Nothing is remembered between calls. A step that failed on one replica is redone on another from the same state with
the same result, and a request can be set aside between any two steps.
"""

from __future__ import annotations

import dataclasses
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from orchestrator.sampler.schedule import ScheduleConfig

Array = NDArray[np.float32]


@dataclasses.dataclass(frozen=True, eq=False)
class State:
    """Where a trajectory stands between two model calls.

    Attributes:
        sample: float32 [..., C, h, w], in the solver's own scaling; only `Solver.model_input` knows what to feed.
        index: steps done; equal to `Solver.steps` when `sample` is the result.
        predicted_clean: the last step's estimate of the clean latents, for previews; None before the first step.
        history: what a multistep solver keeps of earlier steps.
    """

    sample: Array
    index: int
    predicted_clean: Array | None = None
    history: tuple[Array, ...] = ()


class Solver(Protocol):
    """A numerical method on one schedule with a fixed number of steps. No method changes its arguments."""

    @property
    def steps(self) -> int:
        """Number of model calls."""

    @property
    def needs_noise(self) -> bool:
        """Whether `step` wants fresh standard-normal noise."""

    def begin(self, noise: Array) -> State:
        """Returns the first state from standard-normal `noise`, float32 of any shape [..., C, h, w]."""

    def model_input(self, state: State) -> tuple[Array, float]:
        """Returns the sample to feed the model, float32 of the state's shape, and the row's timestep."""

    def step(self, state: State, prediction: Array, noise: Array | None = None) -> State:
        """Returns the state after the next step.

        Args:
            state: where the trajectory stands; `state.index` must be below `steps`.
            prediction: what the model returned for `model_input(state)`, guidance already applied; same shape.
            noise: standard normal of the same shape, if `needs_noise`; not used on the last step.

        Raises:
            ValueError: the trajectory is already complete, a shape differs, or noise is missing.
        """


def check_step(solver: Solver, state: State, prediction: Array) -> None:
    """Raises ValueError if `state` is complete or `prediction` has another shape than its sample."""
    if not 0 <= state.index < solver.steps:
        raise ValueError(f"the trajectory has {solver.steps} steps, and {state.index} are done")
    if prediction.shape != state.sample.shape:
        raise ValueError(f"the prediction has shape {prediction.shape}, the sample {state.sample.shape}")


def clean_from(config: ScheduleConfig, sample: Array, prediction: Array, alpha: np.float32, sigma: np.float32) -> Array:
    """Returns the clean latents that a prediction implies for `sample` = alpha · clean + sigma · noise.

    epsilon: equation 15 of Ho et al. 2020; v: section 4 of Salimans & Ho 2022.
    """
    if config.prediction_type == "epsilon":
        return (sample - sigma * prediction) / alpha
    if config.prediction_type == "v_prediction":
        return alpha * sample - sigma * prediction
    return prediction


def noise_from(config: ScheduleConfig, sample: Array, prediction: Array, alpha: np.float32, sigma: np.float32) -> Array:
    """Returns the noise that a prediction implies for `sample` = alpha · clean + sigma · noise."""
    if config.prediction_type == "epsilon":
        return prediction
    if config.prediction_type == "v_prediction":
        return alpha * prediction + sigma * sample
    return (sample - alpha * prediction) / sigma
