"""Messages of settings, usage and tasks: what a summary and InfoService say, with every default filled in."""

from __future__ import annotations

import pytest

from backdrop.contract.geometry import Size
from backdrop.contract.parts import (
    Adapter,
    Conditioning,
    Delivery,
    DroppingRound,
    OutputFormat,
    Parts,
    Priority,
    Sampling,
    Selection,
    Window,
)
from backdrop.contract.rules import TASKS, TaskRules
from backdrop.contract.tiling import Tiling
from backdrop.contract.write import fingerprints_message, settings_message, task_message, usage_message
from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import info_service_pb2 as info_pb

PARTS = Parts(
    Conditioning("a beach", image_scale=0.5, adapters=(Adapter("aurelia", 0.5), Adapter("pencil"))),
    Sampling("backdrop", 7, "ddim", 10, 3.0, Window(0.0, 0.5)),
    Selection(4, 1, (DroppingRound(3, draft_steps=2), DroppingRound(1, 0.5))),
    Delivery(None, OutputFormat.WEBP, 3),
    Priority.BULK,
)
SCENE = Size(256, 192)


def test_settings_say_what_was_used() -> None:
    assert settings_message("background", PARTS, Size(640, 480), SCENE) == pb.EffectiveSettings(
        task="background",
        sampling=pb.Sampling(
            pipeline="backdrop",
            seed=7,
            scheduler=pb.SCHEDULER_DDIM,
            steps=10,
            guidance_scale=3.0,
            guidance_window=pb.GuidanceWindow(start=0.0, stop=0.5),
        ),
        selection=pb.Selection(
            variants=4,
            top_k=1,
            early_dropping=[pb.EarlyDropping(keep=3, draft_steps=2), pb.EarlyDropping(keep=1, after=0.5)],
        ),
        delivery=pb.Delivery(size=pb.Size(width=640, height=480), format=pb.OUTPUT_FORMAT_WEBP, preview_every=3),
        scene_size=pb.Size(width=256, height=192),
        image_scale=0.5,
        priority=pb.PRIORITY_BULK,
        strength=1.0,
        adapters=[pb.Adapter(name="aurelia", weight=0.5), pb.Adapter(name="pencil", weight=1.0)],
    )


def test_digests_of_adapters_stand_beside_those_of_models() -> None:
    digests = fingerprints_message({"denoiser": "sha256:a"}, {"aurelia": "sha256:b"})
    assert digests == {"denoiser": "sha256:a", "adapter:aurelia": "sha256:b"}


@pytest.mark.parametrize(("scale", "window"), [(1.0, Window(0.0, 0.5)), (3.0, Window())])
def test_a_window_without_effect_is_absent(scale: float, window: Window) -> None:
    parts = Parts(Conditioning(), Sampling("p", 0, "ddim", 4, scale, window), Selection(), Delivery())
    assert not settings_message("background", parts, SCENE, SCENE).sampling.HasField("guidance_window")


def test_usage_counts_rows_and_megapixels() -> None:
    usage = usage_message(PARTS, Tiling(SCENE, SCENE))
    # Drafts: 4 variants × (2 + 1) rows; 3 variants × 5 guided steps × 2 rows; then 1 variant × 5 rows.
    assert usage.row_steps == 12 + 30 + 5
    assert usage.saved_row_steps == 4 * 10 * 2 - usage.row_steps
    assert usage.row_step_megapixels == pytest.approx(usage.row_steps * 256 * 192 / 1e6)


def test_usage_counts_the_tiles_of_every_layout() -> None:
    one, three = usage_message(PARTS, Tiling(SCENE, SCENE)), Tiling(Size(512, 192), SCENE, (0, 128, 256))
    usage = usage_message(PARTS, Tiling(SCENE, SCENE), three)
    assert (usage.row_steps, usage.saved_row_steps) == (4 * one.row_steps, 4 * one.saved_row_steps)
    assert usage.row_step_megapixels == pytest.approx(4 * one.row_step_megapixels)


@pytest.mark.parametrize("rules", TASKS.values())
def test_a_task_is_described_by_its_rules(rules: TaskRules) -> None:
    assert task_message(rules) == info_pb.Task(
        name=rules.name,
        description=rules.description,
        required_fields=rules.required,
        refused_fields=rules.refused,
    )
