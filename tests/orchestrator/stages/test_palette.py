"""The palette's guide: it moves latents by their colours, and only where pixels are made."""

from __future__ import annotations

import dataclasses

import numpy as np

from backdrop.contract.geometry import Size
from backdrop.contract.palette import colours_of, to_lab
from backdrop.contract.tiling import Tiling
from orchestrator.arrays import Floats
from orchestrator.imaging.view import ModelView
from orchestrator.sampler import make_solver
from orchestrator.stages.palette import PaletteGuide
from tests.orchestrator.small import pipeline_spec

FACTORS = ((0.3, 0.0, 0.1), (0.0, 0.3, 0.0), (0.0, 0.1, 0.3), (0.0, 0.0, 0.0))
SPEC = dataclasses.replace(pipeline_spec(), preview_factors=FACTORS, preview_bias=(0.5, 0.5, 0.5))
PALETTE = ("#0b3954", "#ff6663")
TILING = Tiling(Size(32, 32), Size(32, 32))


def view(make: float = 1.0) -> ModelView:
    """Of 32 × 32 pixels; its left half is known."""
    mask = np.full((1, 32, 32), make, np.float32)
    mask[..., :16] = 0
    return ModelView(np.zeros((3, 32, 32), np.float32), mask, np.ascontiguousarray(mask[:, ::8, ::8]), TILING)


def colours(latents: Floats) -> Floats:
    return to_lab(np.clip(np.moveaxis(latents, 0, -1) @ np.array(FACTORS, np.float32) + 0.5, 0, 1).astype(np.float32))


def far(lab: Floats) -> float:
    """Mean distance to the nearest colour of the palette."""
    return float(np.sqrt(np.square(lab[..., None, :] - colours_of(PALETTE)).sum(axis=-1)).min(axis=-1).mean())


def test_latents_come_nearer_where_they_are_made() -> None:
    clean = np.random.default_rng(1).normal(0, 0.5, (4, 4, 4)).astype(np.float32)
    moved = PaletteGuide(PALETTE, SPEC, view()).latents(clean)
    assert np.array_equal(moved[..., :2], clean[..., :2])
    assert far(colours(moved)[:, 2:]) < 0.9 * far(colours(clean)[:, 2:])
    # The least shift: nothing along the direction that has no colour.
    assert np.allclose(moved[3], clean[3], atol=1e-6)


def test_a_scene_comes_nearer() -> None:
    scene = np.random.default_rng(2).uniform(-1, 1, (3, 32, 32)).astype(np.float32)
    moved = PaletteGuide(PALETTE, SPEC, view()).scene(scene)
    assert moved.shape == scene.shape
    before, after = (to_lab((np.moveaxis(each, 0, -1) + 1) / 2) for each in (scene, moved))
    assert far(after) < 0.8 * far(before)


def test_a_solvers_estimate_is_moved_and_its_direction_stays() -> None:
    solver = make_solver("ddim", SPEC.schedule, 4)
    noise = np.random.default_rng(3).standard_normal((4, 4, 4)).astype(np.float32)
    state, output = solver.begin(noise), np.zeros((4, 4, 4), np.float32)
    plain, moved = solver.step(state, output), solver.step(state, output, move=lambda clean: clean + 1)
    assert plain.predicted_clean is not None
    assert moved.predicted_clean is not None
    assert np.allclose(moved.predicted_clean - plain.predicted_clean, 1, atol=1e-5)
    signal = moved.sample - plain.sample
    assert np.allclose(signal, signal.flat[0], atol=1e-5)
    assert 0 < signal.flat[0] < 1
