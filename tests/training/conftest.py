"""A world small enough to train on in a second: two tiny shards and networks of a few channels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from training import shards
from training.config import Config, Data, Denoiser, Paths, Small, Text, Vae


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A config whose every stage takes two steps, with its shards rendered."""
    torch.set_num_threads(1)
    root: Path = tmp_path_factory.mktemp("training")
    config = replace(
        Config(),
        paths=Paths(
            work=root / "work", weights=root / "weights" / "backdrop", classifier=root / "weights" / "classifier"
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
            decoder_steps=2,
        ),
        denoiser=replace(Denoiser(), channels=(16, 16, 32), heads=(1, 1, 2), groups=8, batch=4, small_steps=1, steps=2),
        small=Small(
            reward_channels=(8, 8, 8, 8),
            segmenter_channels=(4, 4, 8, 8),
            classifier_channels=(8, 8, 8, 8),
            reward_steps=2,
            segmenter_steps=2,
            classifier_steps=2,
            batch=4,
        ),
    )
    shards.run(config, processes=1)
    return config
