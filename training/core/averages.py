"""Averages of weights whose length is chosen after a training: post-hoc EMA (Karras et al. 2024, section 3).

A power average is an exponential one whose length grows with the training, so that it is always the same share of it.
Two of them are tracked, and snapshots of both are kept; any other length is a combination of the snapshots, with the
coefficients that come closest to its profile in time. https://arxiv.org/abs/2312.02696
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

TRACKED = (0.05, 0.10)
"""Widths of the tracked averages: the standard deviation of what they average over, as a share of the training."""
EVERY = 500
"""Steps from one snapshot to the next."""
FOLDER = "averages"
"""Where a stage's snapshots lie, in its folder."""

State = dict[str, Tensor]


def exponent(width: float) -> float:
    """The exponent of the power average of a width: the positive root of the paper's equation 6 for its variance."""
    inverse = width**-2
    return float(np.roots([1, 7, 16 - inverse, 12 - inverse]).real.max())


def overlap(
    t_a: NDArray[np.float64], gamma_a: NDArray[np.float64], t_b: NDArray[np.float64], gamma_b: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Inner products [A, B] of the profiles of power averages, by their last steps and exponents."""
    t_a, gamma_a, t_b, gamma_b = t_a[:, None], gamma_a[:, None], t_b[None], gamma_b[None]
    power = np.where(t_a < t_b, gamma_b, -gamma_a)
    norm = (gamma_a + 1) * (gamma_b + 1) / ((gamma_a + gamma_b + 1) * np.maximum(t_a, t_b))
    return np.asarray(norm * (t_a / t_b) ** power)


def coefficients(steps: Sequence[int], widths: Sequence[float], step: int, width: float) -> NDArray[np.float64]:
    """The coefficients [N] of snapshots whose sum is closest to the average of `width` at `step`."""
    t, gamma = np.array(steps, np.float64), np.array([exponent(one) for one in widths])
    target = np.array([float(step)]), np.array([exponent(width)])
    solved = np.linalg.lstsq(overlap(t, gamma, t, gamma), overlap(t, gamma, *target)[:, 0], rcond=None)
    return np.asarray(solved[0])


class PowerAverages:
    """Tracks the averages of `TRACKED` of a network from the start of its training, and writes their snapshots."""

    def __init__(self, network: nn.Module, folder: Path) -> None:
        self._folder, self.step = folder, 0
        self._exponents = [exponent(width) for width in TRACKED]
        self._averages = [{name: value.detach().clone() for name, value in _floats(network)} for _ in TRACKED]

    def update(self, network: nn.Module) -> None:
        """Moves both averages after a step of the training; every `EVERY` steps writes a snapshot of each."""
        self.step += 1
        for gamma, average in zip(self._exponents, self._averages, strict=True):
            keep = (1 - 1 / self.step) ** (gamma + 1)
            for name, value in _floats(network):
                average[name].lerp_(value.detach(), 1 - keep)
        if self.step % EVERY == 0:
            self.write()

    def write(self) -> None:
        """Writes a snapshot of each average at this step."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for width, average in zip(TRACKED, self._averages, strict=True):
            torch.save(average, self._folder / f"{self.step}-{width}.pt")

    def state_dict(self) -> dict[str, Any]:
        """Both averages and their step."""
        return {"step": self.step, "averages": self._averages}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from saved averages."""
        self.step, self._averages = int(state["step"]), state["averages"]


def _floats(network: nn.Module) -> list[tuple[str, Tensor]]:
    return [(name, value) for name, value in network.state_dict().items() if value.dtype.is_floating_point]


@dataclass(frozen=True)
class Snapshots:
    """The snapshots of a folder."""

    paths: list[Path]

    @classmethod
    def of(cls, folder: Path) -> Snapshots:
        """Finds them.

        Raises:
            FileNotFoundError: if there are none.
        """
        paths = sorted(folder.glob("*-*.pt"), key=lambda path: path.stem)
        if not paths:
            raise FileNotFoundError(f"no snapshots of averages in {folder}: train {EVERY} steps first")
        return cls(paths)

    def average(self, width: float) -> State:
        """The weights averaged with `width`, at the step of the last snapshot."""
        named = [path.stem.split("-") for path in self.paths]
        steps = [int(step) for step, _ in named]
        shares = coefficients(steps, [float(width) for _, width in named], max(steps), width)
        total: State = {}
        for path, share in zip(self.paths, shares, strict=True):
            for name, value in torch.load(path, weights_only=True, map_location="cpu").items():
                total[name] = total[name] + float(share) * value if name in total else float(share) * value
        return total
