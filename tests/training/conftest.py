"""A training small enough for tests: shards of eight pictures and networks of a few channels."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from filelock import FileLock

from training.config import (
    T5,
    Config,
    Data,
    Denoiser,
    Diffusion,
    ImageEncoder,
    Paths,
    Small,
    Stages,
    Text,
    Transformer,
    Upscaler,
    Uve,
    Vae,
)
from training.data import cutouts, retrieval, shards
from training.encoders import tokenizer

STAGES = ("base", "inpaint", "product", "surroundings", "image_adapter", "distil", "dit", "brand")
WHOLE = ("base", "inpaint", "dit")
"""Stages that train whole networks."""
SHORT = Diffusion(steps=2, small_steps=1, batch=4, small_batch=4, warmup=1)


class TinyTraining:
    """Trains each stage once, for whichever test of whichever worker needs it first."""

    def __init__(self, config: Config) -> None:
        self.config = config
        config.paths.work.mkdir(parents=True, exist_ok=True)

    def once(self, name: str, run: Callable[[], object]) -> None:
        """Calls `run` unless this or another worker has done so under the same name."""
        done = self.config.paths.work / f"{name}.done"
        with FileLock(done.with_suffix(".lock")):
            if not done.exists():
                run()
                done.touch()

    def trained(self, *stages: ModuleType) -> Config:
        """The config, after the stages were trained in this order."""
        for stage in stages:
            self.once(stage.__name__, lambda stage=stage: stage.train(self.config))  # type: ignore[misc]
        return self.config


def tiny_config(root: Path) -> Config:
    """A config whose every stage takes two or three steps."""
    return replace(
        Config(),
        paths=Paths(
            work=root / "work",
            weights=root / "weights",
            classifier=root / "weights" / "classifier",
            product_judge=root / "weights" / "product_judge",
            published=root / "weights" / "backdrop",
        ),
        data=Data(train_count=8, held_out_count=8, photo_count=8, shard_count=8),
        text=Text(
            hidden_l=16, heads_l=2, layers_l=2, hidden_g=16, heads_g=2, layers_g=2, projection=16, steps=2, batch=4
        ),
        vae=Vae(
            encoder_channels=(8, 16, 32, 32),
            decoder_channels=(8, 16, 32, 32),
            groups=4,
            batch=4,
            crop=64,
            steps=2,
            decoder_steps=3,
            scale_pictures=8,
            preview_pictures=8,
            critic_lead=1,
        ),
        denoiser=replace(Denoiser(), channels=(16, 16, 32), heads=(1, 1, 2), groups=8),
        transformer=Transformer(layers=2, heads=2, head_width=8),
        diffusion=Stages(
            **dict.fromkeys(STAGES, SHORT) | dict.fromkeys(WHOLE, replace(SHORT, muon=True)),
            lora_rank=2,
            brand_rank=2,
            brand_pictures=2,
        ),
        small=Small(
            reward_channels=(8, 8, 8, 8),
            segmenter_channels=(4, 4, 8, 8, 8),
            classifier_channels=(8, 8, 8, 8),
            reward_steps=2,
            segmenter_steps=2,
            classifier_steps=2,
            reward_batch=2,
            segmenter_batch=4,
            classifier_batch=4,
            product_judge_steps=2,
            product_judge_batch=4,
            empty_scenes=2,
            reconstructed=4,
            reconstructed_held=4,
            checkpoint_pairs=4,
            checkpoint_pairs_held=4,
        ),
        uve=Uve(channels=(8, 8, 8, 8), dim=16, steps=2, groups=2, per_group=2),
        image_encoder=ImageEncoder(size=32, hidden=16, layers=1, heads=2, steps=2, batch=4),
        upscaler=Upscaler(channels=4, convolutions=1, pictures=2, size=128, crop=32, batch=2, steps=3),
        t5=T5(d_model=16, layers=1, heads=2, d_kv=8, d_ff=16, steps=3, batch=6),
    )


def prepare_data(config: Config) -> None:
    """Writes what several stages would otherwise write when they first need it."""
    shards.run(config, processes=1)
    retrieval.gallery(config)
    cutouts.empty_scenes(config, config.small.empty_scenes)
    tokenizer.load(config)


@pytest.fixture(scope="session")
def training(tmp_path_factory: pytest.TempPathFactory) -> TinyTraining:
    """The tiny training, in a folder that all xdist workers of a run share."""
    torch.set_num_threads(1)
    root = tmp_path_factory.getbasetemp()
    # Each xdist worker has its own base folder, inside that of the run.
    tiny = TinyTraining(tiny_config((root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "training"))
    tiny.once("data", lambda: prepare_data(tiny.config))
    return tiny


@pytest.fixture(scope="session")
def tiny(training: TinyTraining) -> Config:
    """The config of the tiny training, its data rendered."""
    return training.config
