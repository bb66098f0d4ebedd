"""How the output of a model is read (as noise, as velocity, as clean latents), wrapped outside the solvers.

A sample is signal · clean + level · noise. signal² + level² = 1 if variance is preserved, signal = 1 if it explodes;
in a flow, signal = 1 − level.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclasses.dataclass(frozen=True, eq=False)
class ModelCall:
    """A sample, what the model returned for it, and how much of the sample is signal and noise."""

    sample: Array
    output: Array
    signal: np.float32
    level: np.float32


@dataclasses.dataclass(frozen=True, eq=False)
class Denoised:
    """What a solver sees of a model call.

    Attributes:
        clean: the estimate of the clean latents.
        direction: computes where the noise in the sample points: the noise itself; in a flow, noise − clean.
    """

    clean: Array
    direction: Callable[[], Array]

    def clipped(self, bound: float | None) -> Denoised:
        """The same with the clean estimate within ± `bound`; the direction is that of the whole estimate."""
        if bound is None:
            return self
        return Denoised(np.clip(self.clean, np.float32(-bound), np.float32(bound)), self.direction)


@dataclasses.dataclass(frozen=True)
class Prediction:
    """One kind of prediction; `direction` takes the call and its clean estimate."""

    clean: Callable[[ModelCall], Array]
    direction: Callable[[ModelCall, Array], Array]

    def denoised(self, call: ModelCall) -> Denoised:
        """Reads the output of one model call."""
        clean = self.clean(call)
        return Denoised(clean, functools.partial(self.direction, call, clean))


# Epsilon: equation 15 of Ho et al. 2020; v: section 4 of Salimans & Ho 2022.
VARIANCE_PRESERVING: Mapping[str, Prediction] = MappingProxyType(
    {
        "epsilon": Prediction(
            clean=lambda call: (call.sample - call.level * call.output) / call.signal,
            direction=lambda call, clean: call.output,
        ),
        "v_prediction": Prediction(
            clean=lambda call: call.signal * call.sample - call.level * call.output,
            direction=lambda call, clean: call.signal * call.output + call.level * call.sample,
        ),
        "sample": Prediction(
            clean=lambda call: call.output,
            direction=lambda call, clean: (call.sample - call.signal * call.output) / call.level,
        ),
    }
)


def _exploding(clean: Callable[[ModelCall], Array]) -> Prediction:
    """`clean` is D(x; σ), the denoiser of section 2 of Karras et al. 2022, and the direction its dx/dσ."""
    return Prediction(clean, direction=lambda call, clean: (call.sample - clean) / call.level)


def _exploding_v(call: ModelCall) -> Array:
    # The model was trained on variance-preserving samples; these are √(level² + 1) times as large.
    variance = call.level * call.level + np.float32(1)
    clean: Array = np.add(call.output * (-call.level / np.sqrt(variance)), call.sample / variance)
    return clean


VARIANCE_EXPLODING: Mapping[str, Prediction] = MappingProxyType(
    {
        "epsilon": _exploding(lambda call: call.sample - call.level * call.output),
        "v_prediction": _exploding(_exploding_v),
        "sample": _exploding(lambda call: call.output),
    }
)

FLOW_VELOCITY = Prediction(
    clean=lambda call: call.sample - call.level * call.output,
    direction=lambda call, clean: call.output,
)
