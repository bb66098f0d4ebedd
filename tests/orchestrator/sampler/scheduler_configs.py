"""Every scheduler class of diffusers with every option, as a folder could name it: read by the export, walked by our
solvers, and compared with the class that diffusers itself builds from the config.

Options are those of the class's `__init__`, and their values follow from its annotations and defaults, so a new
version of diffusers brings its new options along.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import io
import itertools
import logging
import typing
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from export.errors import BadFolderError
from export.schedule.classes import CLASS_OF, CLASSES
from export.schedule.folder import FolderSchedule, schedule_of_config
from orchestrator.sampler import make_solver, read_schedule
from tests.orchestrator.sampler import against_diffusers

Config = Mapping[str, Any]
STEPS = (4, 20)
SD = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
"""The betas of Stable Diffusion."""
PIPELINES = ("StableDiffusionPipeline", "StableDiffusionInpaintPipeline", "StableDiffusionXLPipeline")
WORDS = {
    "beta_schedule": ("linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid", "laplace"),
    "algorithm_type": ("dpmsolver++", "sde-dpmsolver++", "dpmsolver", "deis"),
    "solver_type": ("midpoint", "heun", "logrho"),
    "time_shift_type": ("exponential", "linear"),
}
"""Values of words that annotations do not list."""
VALUES: Mapping[str, tuple[Any, ...]] = {
    "trained_betas": ([0.0001 + 0.0000199 * index for index in range(1000)], [0.1]),
    "sigma_min": (0.05,),
    "sigma_max": (12.0,),
    "shift_terminal": (0.1, 0),
    "variance_type": ("fixed_small", "learned_range"),
    "num_train_timesteps": (500, 0),
    "steps_offset": (1, 1000),
    "solver_order": (1, 3),
    "lambda_min_clipped": (-5.1,),
    "beta_start": (0.5,),
    "beta_end": (0.03,),
}
"""Values that do not follow from an option's type."""


def scheduler_classes() -> dict[str, Any]:
    """Every class of diffusers that a folder's `scheduler` can name."""
    import diffusers

    names = sorted(name for name in dir(diffusers) if name.endswith("Scheduler"))
    classes = {name: getattr(diffusers, name) for name in names}
    # Without an optional library diffusers puts an empty class in a scheduler's place.
    return {name: cls for name, cls in classes.items() if hasattr(cls, "from_config")}


def options(cls: Any) -> dict[str, Any]:
    """The options of a class with their defaults."""
    parameters = inspect.signature(cls.__init__).parameters.values()
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return {each.name: each.default for each in parameters if each.name != "self" and each.kind not in kinds}


def values_of(cls: Any, key: str, default: Any) -> tuple[Any, ...]:
    """Values to try for an option: others than the default, and some that are no values of it."""
    annotation = typing.get_type_hints(cls.__init__).get(key)
    literals = tuple(
        value
        for each in (annotation, *typing.get_args(annotation))
        if typing.get_origin(each) is typing.Literal
        for value in typing.get_args(each)
    )
    values = (*literals, *WORDS.get(key, ()), *VALUES.get(key, ()))
    if isinstance(default, bool):
        values = (*values, not default, None)
    elif isinstance(default, float):
        values = (*values, default * 0.5)
    elif isinstance(default, int) and not values:
        values = (default + 1,)
    return (default, *(value for value in values if value != default), "nonsense")


def configs() -> Iterator[tuple[dict[str, Any], str | None]]:
    """Yields configs of every class, and the pipeline class that the folder names.

    For each class its defaults and Stable Diffusion's betas, with each option at each of its values; for the served
    classes also every pair of the options that place the steps.
    """
    for name, cls in scheduler_classes().items():
        base: dict[str, Any] = {"_class_name": name}
        yield base, None
        known = options(cls)
        bases = [base]
        if name in CLASSES and "beta_start" in known:
            # Without clipping, as latents need it; PNDM's Runge-Kutta steps are refused in the first base.
            usual = {"clip_sample": False, "skip_prk_steps": True} & known.keys()
            settings = {key: key == "skip_prk_steps" for key in usual}
            bases += [{**base, **SD, **settings, "prediction_type": each} for each in ("epsilon", "v_prediction")]
            yield from ((config, pipeline) for config in bases for pipeline in PIPELINES)
        for first, (key, default) in itertools.product(bases, known.items()):
            yield from (({**first, key: value}, None) for value in values_of(cls, key, default))
        yield {**base, "an_option_of_tomorrow": 1}, None
        if name in CLASSES:
            yield from ((config, None) for config in pairs(bases[-1], known))


def pairs(base: Config, known: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Combinations of the options that place a served class's steps."""
    placing: dict[str, tuple[Any, ...]] = {
        "timestep_spacing": ("leading", "trailing", "linspace"),
        "prediction_type": ("epsilon", "v_prediction", "sample"),
        "beta_schedule": ("scaled_linear", "squaredcos_cap_v2"),
        "rescale_betas_zero_snr": (True, False),
        "final_sigmas_type": ("zero", "sigma_min"),
        "timestep_type": ("discrete", "continuous"),
        "steps_offset": (0, 1),
    }
    spacings = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas")
    present = {key: values for key, values in placing.items() if key in known}
    for (one, ones), (two, twos) in itertools.combinations(present.items(), 2):
        yield from ({**base, one: a, two: b} for a, b in itertools.product(ones, twos))
    for spacing in (key for key in spacings if key in known):
        for key, values in present.items():
            yield from ({**base, spacing: True, key: value} for value in values)
        for ends in ({"sigma_min": 0.05}, {"sigma_max": 12.0}, {"sigma_min": 0.05, "sigma_max": 12.0}):
            yield {**base, spacing: True, **ends}
        yield from ({**base, spacing: True, other: True} for other in spacings if other in known)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of a config.

    Attributes:
        config: the scheduler's.
        refusal: the sentence, if it is refused.
        differences: the largest difference from diffusers' trajectories by solver, if it is served.
        problem: why it counts as wrong; empty if it does not.
    """

    config: Config
    refusal: str = ""
    differences: Mapping[str, float] = dataclasses.field(default_factory=dict)
    problem: str = ""


def judge(config: Config, pipeline: str | None, most: float = 1e-5, steps: tuple[int, ...] = STEPS) -> Verdict:
    """Reads a config, and walks every solver that is offered for it."""
    try:
        sampled = schedule_of_config(config, pipeline)
    except BadFolderError as error:
        named = any(key in str(error) for key in config if not key.startswith("_"))
        problem = "" if named or str(config["_class_name"]) in str(error) else "refused without a name"
        return Verdict(config, str(error), problem=problem)
    except Exception as error:
        return Verdict(config, problem=f"{type(error).__name__} while it is read: {error}")
    differences = {}
    for solver in sampled.solvers:
        try:
            differences[solver] = max(difference(config, pipeline, sampled, solver, number) for number in steps)
        except Exception as error:
            return Verdict(config, problem=f"{solver}: {type(error).__name__}: {error}")
    wrong = {solver: value for solver, value in differences.items() if not value <= most}
    return Verdict(config, differences=differences, problem=f"differs: {wrong}" if wrong else "")


def difference(config: Config, pipeline: str | None, sampled: FolderSchedule, solver: str, steps: int) -> float:
    """The largest difference of one solver's trajectory from that of diffusers' class."""
    own = against_diffusers.trajectory(make_solver(solver, read_schedule(sampled.schedule), steps))
    other = against_diffusers.reference_trajectory(reference(config, pipeline, solver), steps)
    return against_diffusers.worst_difference_of(own, other)


def reference(config: Config, pipeline: str | None, solver: str) -> Any:
    """diffusers' scheduler of a solver, as a pipeline of a folder with this config has it after a swap of classes."""
    import diffusers

    name = str(config["_class_name"])
    with quiet():
        scheduler = getattr(diffusers, name).from_config(dict(config))
        if pipeline is not None:
            cls = getattr(diffusers, pipeline)
            others = [key for key in inspect.signature(cls.__init__).parameters if key not in ("self", "scheduler")]
            scheduler = cls(scheduler=scheduler, **dict.fromkeys(others)).scheduler
        served = CLASS_OF[solver]
        return scheduler if served == name else getattr(diffusers, served).from_config(scheduler.config)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Within this context diffusers does not warn of what these configs do on purpose."""
    logger = logging.getLogger("diffusers")
    level, disabled = logger.level, logger.disabled
    logger.setLevel(logging.CRITICAL)
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)
            logger.disabled = disabled
