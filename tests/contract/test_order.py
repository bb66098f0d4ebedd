"""Classes and the guidance window: what comes back says what was asked, and what it cost."""

from __future__ import annotations

from typing import Any

import pytest

from backdrop import AsyncClient, Priority, Result
from tests.contract.photos import MASK, PRODUCT


async def made(client: AsyncClient, **changes: Any) -> Result:
    """One small picture, guided in ten steps."""
    asked: dict[str, Any] = {
        "mask": MASK,
        "prompt": "a beach",
        "seed": 3,
        "steps": 10,
        "guidance_scale": 3.0,
        "scheduler": "ddim",
        **changes,
    }
    return await client.generate(PRODUCT, **asked)


@pytest.mark.parametrize("priority", [Priority.INTERACTIVE, Priority.STANDARD, Priority.BULK])
async def test_the_class_comes_back_and_changes_no_byte(client: AsyncClient, priority: Priority) -> None:
    found, plain = await made(client, priority=priority), await made(client)
    assert found.settings.priority is priority
    assert plain.settings.priority is Priority.STANDARD
    assert found.best.data == plain.best.data


async def test_a_guidance_window_saves_rows_and_says_so(client: AsyncClient) -> None:
    whole, windowed = await made(client), await made(client, guidance_window=(0.0, 0.5))
    assert (whole.usage.row_steps, whole.usage.saved_row_steps) == (20, 0)
    assert (windowed.usage.row_steps, windowed.usage.saved_row_steps) == (15, 5)
    width, height = whole.settings.scene_size
    assert whole.usage.row_step_megapixels == pytest.approx(20 * width * height / 1e6)
    assert whole.settings.guidance_window is None
    assert windowed.settings.guidance_window == pytest.approx((0.0, 0.5))
    assert windowed.best.data != whole.best.data


async def test_a_window_of_all_steps_is_none(client: AsyncClient) -> None:
    found = await made(client, guidance_window=(0.0, 1.0))
    assert found.settings.guidance_window is None
    assert found.best.data == (await made(client)).best.data
    unguided = await made(client, guidance_window=(0.0, 0.5), guidance_scale=1.0)
    assert unguided.settings.guidance_window is None
    assert unguided.usage.row_steps == 10


async def test_the_expected_start_of_what_runs_is_now(client: AsyncClient) -> None:
    generation = client.generate(PRODUCT, mask=MASK, steps=1, guidance_scale=1.0)
    first = await anext(aiter(generation))
    assert getattr(first, "queue_position", None) == 0
    assert getattr(first, "expected_start_s", None) == 0.0
    await generation
