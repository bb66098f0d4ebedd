"""Which pipeline serves which task, by its denoiser's inputs and bank."""

from __future__ import annotations

import pytest

from orchestrator.tasks import ALL
from orchestrator.tasks.background import BACKGROUND
from orchestrator.tasks.serving import served_tasks, serves, why_not
from orchestrator.tasks.upscale import UPSCALE
from tests.orchestrator.small import PIPELINES, pipeline_spec


@pytest.mark.parametrize("name", PIPELINES)
def test_every_task_is_served_whether_the_denoiser_sees_known_pixels_or_not(name: str) -> None:
    without = () if name == "small-large" else ("upscale",)
    assert served_tasks(pipeline_spec(name)) == [task for task in ALL if task not in without]


def test_what_a_pipeline_lacks_is_named() -> None:
    assert why_not(pipeline_spec("small"), BACKGROUND) is None
    assert why_not(pipeline_spec("small"), UPSCALE) == "it has no upscaler."
    assert not serves(pipeline_spec("small"), UPSCALE)
