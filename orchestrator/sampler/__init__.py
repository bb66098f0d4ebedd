"""Solvers of the diffusion ODE and SDE as pure numpy functions that read like their papers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from orchestrator.sampler.ddim import Ddim
from orchestrator.sampler.ddpm import Ddpm
from orchestrator.sampler.dpmpp import DpmSolverPlusPlus2M
from orchestrator.sampler.euler import Euler
from orchestrator.sampler.guidance import combine
from orchestrator.sampler.noise import NoiseStream, variant_seed
from orchestrator.sampler.schedule import ScheduleConfig
from orchestrator.sampler.solver import Array, Solver, State

__all__ = [
    "SOLVERS",
    "Array",
    "NoiseStream",
    "ScheduleConfig",
    "Solver",
    "State",
    "combine",
    "make_solver",
    "variant_seed",
]

SOLVERS: Mapping[str, Callable[[ScheduleConfig, int], Solver]] = MappingProxyType(
    {"ddim": Ddim, "euler": Euler, "dpmpp_2m": DpmSolverPlusPlus2M, "ddpm": Ddpm}
)


def make_solver(name: str, config: ScheduleConfig, steps: int) -> Solver:
    """Returns the solver called `name` on a schedule, for `steps` model calls.

    Raises:
        ValueError: no solver has that name, or the schedule has no `steps` different timesteps for it.
    """
    if name not in SOLVERS:
        raise ValueError(f"scheduler must be one of {', '.join(SOLVERS)}, got {name!r}")
    return SOLVERS[name](config, steps)
