"""A training small enough for tests: shards of eight pictures and networks of a few channels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

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
    Uve,
    Vae,
)
from training.data import shards

STAGES = ("base", "inpaint", "product", "image_adapter", "distil", "dit", "brand")
SHORT = Diffusion(steps=2, small_steps=1, batch=4, small_batch=4, warmup=1)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A config whose every stage takes two steps, with its shards rendered."""
    torch.set_num_threads(1)
    root: Path = tmp_path_factory.mktemp("training")
    config = replace(
        Config(),
        paths=Paths(work=root / "work", weights=root / "weights", classifier=root / "weights" / "classifier"),
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
            critic_start=1,
        ),
        denoiser=replace(Denoiser(), channels=(16, 16, 32), heads=(1, 1, 2), groups=8),
        transformer=Transformer(layers=2, heads=2, head_width=8),
        diffusion=Stages(**dict.fromkeys(STAGES, SHORT), lora_rank=2, brand_rank=2, brand_pictures=2),
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
            empty_scenes=2,
            reconstructed=4,
            reconstructed_held=4,
        ),
        uve=Uve(channels=(8, 8, 8, 8), dim=16, steps=2, groups=2, per_group=2),
        image_encoder=ImageEncoder(size=32, hidden=16, layers=1, heads=2, steps=2, batch=4),
        t5=T5(d_model=16, layers=1, heads=2, d_kv=8, d_ff=16, steps=3, batch=6),
    )
    shards.run(config, processes=1)
    return config
