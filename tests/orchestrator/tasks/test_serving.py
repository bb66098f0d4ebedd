"""Which pipeline serves which task, by its denoiser's inputs and bank."""

from __future__ import annotations

import dataclasses

import pytest

from orchestrator.tasks import ALL, Task
from orchestrator.tasks.background import BACKGROUND
from orchestrator.tasks.serving import served_tasks, serves, why_not
from orchestrator.tasks.text_to_image import TEXT_TO_IMAGE
from orchestrator.tasks.upscale import UPSCALE
from tests.orchestrator.small import ADAPTERS, PIPELINES, SLOTS, pipeline_spec


@pytest.mark.parametrize("name", PIPELINES)
def test_every_task_is_served_whether_the_denoiser_sees_known_pixels_or_not(name: str) -> None:
    without = () if name == "small-large" else ("upscale",)
    assert served_tasks(pipeline_spec(name)) == [task for task in ALL if task not in without]


@pytest.mark.parametrize("task", [BACKGROUND, TEXT_TO_IMAGE], ids=lambda task: task.name)
def test_a_tasks_adapters_must_be_in_the_bank(task: Task) -> None:
    known = dataclasses.replace(task, adapters=(next(iter(ADAPTERS)),))
    assert serves(pipeline_spec("small-style"), known)
    assert not serves(pipeline_spec("small"), known), "it has no bank"
    assert not serves(pipeline_spec("small-style"), dataclasses.replace(task, adapters=("warm", "remove")))
    assert len(ADAPTERS) > SLOTS
    assert not serves(pipeline_spec("small-style"), dataclasses.replace(task, adapters=tuple(ADAPTERS))), "no slots"


def test_what_a_pipeline_lacks_is_named() -> None:
    assert why_not(pipeline_spec("small"), BACKGROUND) is None
    assert why_not(pipeline_spec("small"), UPSCALE) == "it has no upscaler."
    specialised = dataclasses.replace(BACKGROUND, adapters=("warm", "remove"))
    assert "no adapter remove" in (why_not(pipeline_spec("small-style"), specialised) or "")
