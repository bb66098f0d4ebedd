"""Which task takes which field: every pair of the table, refused or taken, by fake and server alike."""

from __future__ import annotations

from typing import Any

import pytest

from backdrop import (
    Adapter,
    AsyncClient,
    Background,
    EarlyDropping,
    Erase,
    Expand,
    Fill,
    InvalidRequestError,
    Reason,
    Relight,
    Shadow,
    Task,
    TextToImage,
    Upscale,
    Vary,
)
from backdrop._describe import options_of
from backdrop._options import RequestOptions
from backdrop.contract.rules import TASKS as RULES
from tests.contract.photos import MASK, PRODUCT, default_of
from tests.pictures import noisy_photo

SENT: dict[str, Task] = {
    "background": Background(PRODUCT, MASK),
    "text_to_image": TextToImage(),
    "erase": Erase(PRODUCT, MASK),
    "fill": Fill(PRODUCT, MASK),
    "vary": Vary(PRODUCT),
    "expand": Expand(PRODUCT),
    "shadow": Shadow(PRODUCT, MASK),
    "relight": Relight(PRODUCT, MASK),
    "upscale": Upscale(PRODUCT),
}
VALUES: dict[str, Any] = {
    "prompt": "a beach",
    "negative_prompt": "people",
    "style_images": [noisy_photo(9, 9)],
    "image_scale": 1.0,
    "adapters": [Adapter("aurelia", 0.5)],
    "palette": ["#0b3954"],
    "pipeline": "",
    "seed": 3,
    "scheduler": "ddim",
    "steps": 2,
    "guidance_scale": 2.0,
    "guidance_window": (0.0, 0.5),
    "variants": 3,
    "top_k": 1,
    "early_dropping": EarlyDropping(2, 0.5),
    "output_size": (128, 96),
    "output_format": "webp",
    "preview_every": 1,
    "idempotency_key": "",
    "priority": "bulk",
}
OPTIONS = options_of(RequestOptions)
REFUSED = [(task, name) for task, rules in RULES.items() for name in VALUES if OPTIONS[name].path in rules.refused]


def test_the_table_has_every_task_and_every_field() -> None:
    assert set(SENT) == set(RULES)
    assert set(VALUES) == set(OPTIONS)
    paths = {option.path for option in OPTIONS.values()}
    for rules in RULES.values():
        assert set(rules.refused) <= paths, rules.name


@pytest.mark.parametrize(("task", "name"), REFUSED)
async def test_a_field_that_a_task_does_not_take_is_refused(client: AsyncClient, task: str, name: str) -> None:
    needed: dict[str, Any] = {"prompt": "a beach"} if "conditioning.prompt" not in RULES[task].refused else {}
    if task == "expand":
        needed |= {"output_size": (128, 96)}
    with pytest.raises(InvalidRequestError) as caught:
        await client.generate(SENT[task], **{**needed, name: VALUES[name]})
    assert (caught.value.reason, caught.value.field) == (Reason.FIELD_NOT_TAKEN, OPTIONS[name].path)


@pytest.mark.parametrize("task", RULES)
async def test_all_fields_that_a_task_takes_are_taken_at_once(client: AsyncClient, task: str) -> None:
    pipeline = default_of(await client.info())
    if task not in pipeline.tasks:
        pytest.skip(f"the default pipeline does not serve {task}")
    taken = {name: value for name, value in VALUES.items() if OPTIONS[name].path not in RULES[task].refused}
    if "adapters" in taken:
        taken["adapters"] = [Adapter(pipeline.adapters[0].name, 0.5)] if pipeline.adapters else []
    result = await client.generate(SENT[task], **taken)
    settings = result.settings
    assert (settings.task, settings.priority, settings.output_format) == (task, "bulk", "webp")
    if "seed" in taken:
        assert (settings.seed, settings.steps, settings.variants, settings.top_k) == (3, 2, 3, 1)
        assert (settings.scheduler, settings.preview_every) == ("ddim", 1)
    if "output_size" in taken:
        assert settings.output_size == (128, 96)
    assert bool(settings.palette) == ("palette" in taken)
    assert bool(settings.image_scale) == ("style_images" in taken)
    assert (settings.guidance_window is not None) == ("guidance_window" in taken)
    assert not [each for each in result.warnings if each.reason == "NO_EFFECT"]


async def test_the_server_says_what_it_refuses(client: AsyncClient) -> None:
    tasks = {task.name: task for task in (await client.info()).tasks}
    for name, rules in RULES.items():
        assert (tasks[name].required_fields, tasks[name].refused_fields) == (rules.required, rules.refused)
