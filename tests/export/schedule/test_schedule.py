"""Scheduler configs: what is served, refused and noted; the trajectories are compared in tests/orchestrator/sampler."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from export.errors import BadFolderError
from export.schedule import FolderSchedule, read_schedule
from export.schedule.classes import AMENDED, CLASSES, OF_BETAS, OF_FLOWS, OF_OTHER_KINDS
from export.schedule.folder import schedule_of_config
from tests.orchestrator.sampler import scheduler_configs

SD = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}


def read(name: str, *, pipeline: str | None = None, chosen: str | None = None, **settings: Any) -> FolderSchedule:
    return schedule_of_config({"_class_name": name, "_diffusers_version": "0.42.1", **settings}, pipeline, chosen)


def test_every_class_of_diffusers_is_decided() -> None:
    decided = {*CLASSES, *OF_BETAS, *OF_FLOWS, *OF_OTHER_KINDS}
    assert set(scheduler_configs.scheduler_classes()) - decided == set()


@pytest.mark.parametrize("name", CLASSES)
def test_the_table_of_a_class_has_its_options_and_their_defaults(name: str) -> None:
    options = scheduler_configs.options(scheduler_configs.scheduler_classes()[name])
    assert {key: default for key, (default, _) in CLASSES[name].keys.items()} == options


def test_pipelines_change_their_scheduler_as_the_table_says() -> None:
    import diffusers

    for name in scheduler_configs.PIPELINES:
        cls = getattr(diffusers, name)
        others = [key for key in inspect.signature(cls.__init__).parameters if key not in ("self", "scheduler")]
        for scheduler in (diffusers.DDIMScheduler(), diffusers.PNDMScheduler()):
            before = dict(scheduler.config)
            with scheduler_configs.quiet():
                after = dict(cls(scheduler=scheduler, **dict.fromkeys(others)).scheduler.config)
            changes = {key: after[key] for key, value in before.items() if after[key] != value}
            amended = {key: value for key, value in AMENDED.get(name, {}).items() if key in before}
            assert changes == {key: value for key, value in amended.items() if before[key] != value}


@pytest.mark.row("scheduler-defaults")
def test_the_default_of_a_missing_key_is_that_of_the_class() -> None:
    euler = read("EulerDiscreteScheduler", clip_sample=False, set_alpha_to_one=False, **SD)
    assert euler.schedule["timestep_spacing"] == "linspace"
    assert euler.schedule["solvers"]["ddim"] == {"timestep_spacing": "leading"}
    assert euler.default == "euler"
    assert euler.solvers == ("ddim", "euler", "dpmpp_2m", "ddpm")
    assert euler.notes == ()


def test_a_swap_of_classes_that_clips_is_noted() -> None:
    euler = read("EulerDiscreteScheduler", **SD)
    assert euler.schedule["solvers"]["ddim"]["clip_sample_range"] == 1.0
    assert any("ddim clips its estimates at ±1" in note for note in euler.notes)


def test_stable_diffusion_is_served_with_its_own_solver() -> None:
    folder = read("PNDMScheduler", pipeline="StableDiffusionPipeline", skip_prk_steps=True, clip_sample=False, **SD)
    assert folder.default == "pndm"
    assert folder.solvers == ("ddim", "euler", "dpmpp_2m", "ddpm", "pndm")
    # diffusers' pipeline sets it whatever the file says.
    assert folder.schedule["steps_offset"] == 1


@pytest.mark.row("scheduler-defaults")
@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("DDIMScheduler", "thresholding", True),
        ("DDIMScheduler", "beta_schedule", "sigmoid"),
        ("DDIMScheduler", "prediction_type", "velocity"),
        ("DDIMScheduler", "num_train_timesteps", "1000"),
        ("DDIMScheduler", "trained_betas", [0.1]),
        ("DDPMScheduler", "variance_type", "learned_range"),
        ("EulerDiscreteScheduler", "interpolation_type", "log_linear"),
        ("DPMSolverMultistepScheduler", "algorithm_type", "sde-dpmsolver++"),
        ("DPMSolverMultistepScheduler", "use_flow_sigmas", True),
        ("DPMSolverMultistepScheduler", "lambda_min_clipped", -5.1),
        ("FlowMatchEulerDiscreteScheduler", "use_dynamic_shifting", True),
        ("FlowMatchEulerDiscreteScheduler", "sigma_max", 2.0),
        ("PNDMScheduler", "prediction_type", "v_prediction"),
        ("LCMScheduler", "original_inference_steps", 40),
        ("EulerDiscreteScheduler", "an_option_of_tomorrow", 1),
    ],
)
def test_what_is_not_served_is_refused_by_name(name: str, key: str, value: Any) -> None:
    with pytest.raises(BadFolderError, match=key):
        read(name, **{"skip_prk_steps": True, key: value} if name == "PNDMScheduler" else {key: value})


@pytest.mark.parametrize("name", [*OF_BETAS, *OF_FLOWS, *OF_OTHER_KINDS, "TomorrowScheduler"])
def test_a_class_that_is_not_served_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(BadFolderError, match=f"the class {name}, which is not served.*EulerDiscreteScheduler"):
        read(name)


def test_another_solver_can_stand_in_for_a_class_that_is_not_served(tmp_path: Path) -> None:
    (tmp_path / "scheduler").mkdir()
    config = {"_class_name": "HeunDiscreteScheduler", "use_karras_sigmas": True, "clip_sample": False, **SD}
    (tmp_path / "scheduler" / "scheduler_config.json").write_text(json.dumps(config))
    with pytest.raises(
        BadFolderError, match=r'--scheduler ddim, or in backdrop.json {"defaults": {"scheduler": "ddim"}}'
    ):
        read_schedule(tmp_path / "scheduler")
    folder = read_schedule(tmp_path / "scheduler", "euler")
    assert folder.default == "euler"
    assert folder.schedule["sigma_spacing"] == "karras"
    assert "euler stands in for it, as EulerDiscreteScheduler.from_config." in folder.notes[0]
