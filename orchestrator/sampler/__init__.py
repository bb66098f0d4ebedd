"""Solvers of the diffusion ODE and SDE and of rectified flows, as pure numpy functions that read like their papers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from orchestrator.sampler.config import FlowConfig, Schedule, ScheduleConfig, read_schedule
from orchestrator.sampler.ddim import Ddim
from orchestrator.sampler.ddpm import Ddpm
from orchestrator.sampler.dpmpp import DpmSolverPlusPlus2M
from orchestrator.sampler.euler import Euler
from orchestrator.sampler.flow_euler import FlowEuler
from orchestrator.sampler.guidance import combine
from orchestrator.sampler.lcm import Lcm
from orchestrator.sampler.noise import NoiseStream
from orchestrator.sampler.pndm import Pndm
from orchestrator.sampler.prediction import Array
from orchestrator.sampler.solver import Solver, State

__all__ = [
    "FLOW_SOLVERS",
    "SOLVERS",
    "Array",
    "FlowConfig",
    "NoiseStream",
    "Schedule",
    "ScheduleConfig",
    "Solver",
    "State",
    "combine",
    "make_solver",
    "read_schedule",
    "solvers_of",
]

SOLVERS: Mapping[str, Callable[[ScheduleConfig, int], Solver]] = MappingProxyType(
    {"ddim": Ddim, "euler": Euler, "dpmpp_2m": DpmSolverPlusPlus2M, "ddpm": Ddpm, "lcm": Lcm, "pndm": Pndm}
)
FLOW_SOLVERS: Mapping[str, Callable[[FlowConfig, int], Solver]] = MappingProxyType({"flow_euler": FlowEuler})


def solvers_of(schedule: Schedule) -> tuple[str, ...]:
    """Names of the solvers that can walk this kind of schedule."""
    return tuple(FLOW_SOLVERS if isinstance(schedule, FlowConfig) else SOLVERS)


def make_solver(name: str, schedule: Schedule, steps: int) -> Solver:
    """Returns the solver called `name` on a schedule, for `steps` steps.

    What the schedule has for this solver alone replaces what it has for all.

    Raises:
        ValueError: no solver of that name walks this kind of schedule, or it has no `steps` different timesteps for it.
    """
    if name not in solvers_of(schedule):
        raise ValueError(f"scheduler must be one of {', '.join(solvers_of(schedule))}, got {name!r}")
    if isinstance(schedule, FlowConfig):
        return FLOW_SOLVERS[name](schedule, steps)
    return SOLVERS[name](schedule.of(name), steps)
