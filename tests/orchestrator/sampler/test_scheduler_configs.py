"""Scheduler configs of every class and option are equal to diffusers within 1e-5, or refused by name."""

from __future__ import annotations

import pytest

from tests.orchestrator.sampler import scheduler_configs


@pytest.mark.row("scheduler-options")
@pytest.mark.parametrize("part", [pytest.param(23, id="some"), pytest.param(1, id="all", marks=pytest.mark.full)])
def test_no_config_is_served_as_another(part: int) -> None:
    configs = list(scheduler_configs.configs())[::part]
    verdicts = [scheduler_configs.judge(config, pipeline, steps=(4,)) for config, pipeline in configs]
    assert [(verdict.config, verdict.problem) for verdict in verdicts if verdict.problem] == []
    assert sum(bool(verdict.differences) for verdict in verdicts) > len(verdicts) / 5


def test_a_schedule_that_differs_is_seen() -> None:
    """Trajectories tell Karras' levels from those of training, so the comparison can fail."""
    config = {"_class_name": "EulerDiscreteScheduler", **scheduler_configs.SD}
    sampled = scheduler_configs.schedule_of_config({**config, "use_karras_sigmas": True})
    assert scheduler_configs.difference(config, None, sampled, "euler", 4) > 1e-2
