"""Classes, guidance window and early dropping: the summary says what was used, and what it cost."""

from __future__ import annotations

from typing import Any

import pytest

from backdrop import AsyncClient, EarlyDropping, Priority, Result, StepProgress, VariantDropped, VariantFinished
from tests.contract.photos import TASK


async def result_of(client: AsyncClient, **changes: Any) -> Result:
    """One small picture, guided in ten steps."""
    options: dict[str, Any] = {
        "prompt": "a beach",
        "seed": 3,
        "steps": 10,
        "guidance_scale": 3.0,
        "scheduler": "ddim",
        **changes,
    }
    return await client.generate(TASK, **options)


@pytest.mark.parametrize("priority", [Priority.INTERACTIVE, Priority.STANDARD, Priority.BULK])
async def test_the_class_comes_back_and_changes_no_byte(client: AsyncClient, priority: Priority) -> None:
    result, plain = await result_of(client, priority=priority), await result_of(client)
    assert result.settings.priority is priority
    assert plain.settings.priority is Priority.STANDARD
    assert result.best.data == plain.best.data


async def test_a_guidance_window_saves_rows_and_says_so(client: AsyncClient) -> None:
    whole, windowed = await result_of(client), await result_of(client, guidance_window=(0.0, 0.5))
    assert (whole.usage.row_steps, whole.usage.saved_row_steps) == (20, 0)
    assert (windowed.usage.row_steps, windowed.usage.saved_row_steps) == (15, 5)
    width, height = whole.settings.scene_size
    assert whole.usage.row_step_megapixels == pytest.approx(20 * width * height / 1e6)
    assert whole.settings.guidance_window is None
    assert windowed.settings.guidance_window == pytest.approx((0.0, 0.5))
    assert windowed.best.data != whole.best.data


async def test_a_window_of_all_steps_is_none(client: AsyncClient) -> None:
    result = await result_of(client, guidance_window=(0.0, 1.0))
    assert result.settings.guidance_window is None
    assert result.best.data == (await result_of(client)).best.data
    unguided = await result_of(client, guidance_window=(0.0, 0.5), guidance_scale=1.0)
    assert unguided.settings.guidance_window is None
    assert unguided.usage.row_steps == 10


async def test_the_expected_start_of_what_runs_is_now(client: AsyncClient) -> None:
    generation = client.generate(TASK, steps=1, guidance_scale=1.0)
    first = await anext(aiter(generation))
    assert getattr(first, "queue_position", None) == 0
    assert getattr(first, "expected_start_s", None) == 0.0
    await generation


async def test_weaker_variants_are_given_up_and_cost_nothing_more(client: AsyncClient) -> None:
    options: dict[str, Any] = {"prompt": "a beach", "seed": 3, "steps": 4, "guidance_scale": 1.0}
    generation = client.generate(TASK, variants=4, top_k=1, early_dropping=EarlyDropping(keep=2, after=0.5), **options)
    events = [event async for event in generation]
    result = await generation
    dropped = {event.variant: event for event in events if isinstance(event, VariantDropped)}
    finished = {event.variant for event in events if isinstance(event, VariantFinished)}
    assert len(dropped) == len(finished) == 2
    assert finished | set(dropped) == {0, 1, 2, 3}
    steps = dict.fromkeys(range(4), 0)
    for event in events:
        if isinstance(event, StepProgress):
            steps[event.variant] = event.step
    assert steps == {variant: 2 if variant in dropped else 4 for variant in range(4)}
    assert (result.usage.row_steps, result.usage.saved_row_steps) == (12, 4)
    assert result.settings.early_dropping == (EarlyDropping(2, 0.5),)
    assert result.best.variant in finished
    # What is left is what it would have been, and what was given up can still be had.
    alone = await client.generate(TASK, **(options | {"seed": result.best.seed}))
    assert alone.best.data == result.best.data
    assert all(event.scores.heads for event in dropped.values())


async def test_rounds_of_dropping_keep_fewer_and_fewer(client: AsyncClient) -> None:
    options: dict[str, Any] = {"prompt": "a beach", "seed": 3, "steps": 4, "guidance_scale": 1.0}
    rounds = (EarlyDropping(3, 0.25), EarlyDropping(1, 0.75))
    generation = client.generate(TASK, variants=4, top_k=1, early_dropping=rounds, **options)
    events = [event async for event in generation]
    result = await generation
    steps = dict.fromkeys(range(4), 0)
    for event in events:
        if isinstance(event, StepProgress):
            steps[event.variant] = event.step
    assert sorted(steps.values()) == [1, 3, 3, 4]
    dropped = [event.variant for event in events if isinstance(event, VariantDropped)]
    assert sorted(dropped) == sorted(variant for variant in steps if steps[variant] < 4)
    assert steps[dropped[0]] == 1  # told when it is given up
    assert (result.usage.row_steps, result.usage.saved_row_steps) == (11, 5)
    assert result.settings.early_dropping == rounds


async def test_drafts_tell_who_is_worth_the_whole_way(client: AsyncClient) -> None:
    options: dict[str, Any] = {"prompt": "a beach", "seed": 3, "steps": 4, "guidance_scale": 1.0}
    rounds = (EarlyDropping(2, draft_steps=2), EarlyDropping(1, 0.5))
    generation = client.generate(TASK, variants=4, top_k=1, early_dropping=rounds, **options)
    events = [event async for event in generation]
    result = await generation
    drafted = [event for event in events if isinstance(event, StepProgress) and event.draft]
    assert [event.steps for event in drafted] == [2] * 8
    taken = [event for event in events if isinstance(event, StepProgress) and not event.draft]
    assert sorted(event.step for event in taken) == [1, 1, 2, 2, 3, 4]
    dropped = [event for event in events if isinstance(event, VariantDropped)]
    assert events.index(drafted[-1]) < events.index(dropped[1]) < events.index(taken[0])
    assert {event.variant for event in dropped[:2]}.isdisjoint(event.variant for event in taken)
    assert (result.usage.row_steps, result.usage.saved_row_steps) == (4 * 2 + 2 * 2 + 2, 2)
    assert result.settings.early_dropping == rounds
    # A draft leaves no trace in what is finished.
    alone = await client.generate(TASK, **(options | {"seed": result.best.seed}))
    assert alone.best.data == result.best.data


async def test_keeping_all_is_dropping_none(client: AsyncClient) -> None:
    result = await result_of(client, variants=2, early_dropping=EarlyDropping(keep=2))
    assert result.settings.early_dropping == ()
    assert result.usage.saved_row_steps == 0
