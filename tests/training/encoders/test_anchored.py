"""Training an autoencoder further while its latents stay."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from tests.training.conftest import TinyTraining
from training.data import shards
from training.data.pictures import pictures_to_tensor
from training.encoders import anchored, vae


def test_an_anchor_holds_the_latents_and_the_autoencoder_learns(training: TinyTraining, tmp_path: Path) -> None:
    tiny = training.trained(vae)
    moves: dict[float, float] = {}
    picture = pictures_to_tensor(shards.load(tiny, "scene").at(np.arange(4))[0])
    for weight in (0.0, 10.0):
        work = tmp_path / str(weight)
        shutil.copytree(tiny.paths.work, work)
        (work / "latents").mkdir(exist_ok=True)
        config = replace(
            tiny,
            paths=replace(tiny.paths, work=work),
            vae=replace(tiny.vae, anchor_weight=weight, anchored_steps=12, learning_rate=2e-3),
        )
        before = vae.load(config).encode(picture).latent_dist.mean.detach()
        anchored.train(config)
        after = vae.load(config).encode(picture).latent_dist.mean.detach()
        moves[weight] = float((after - before).square().mean())
        assert not (work / "latents").exists(), "encoded by the autoencoder of before"
        assert not (work / anchored.STAGE).exists(), "a second call starts from the first one's result"
    assert 0 < moves[10.0] < 0.7 * moves[0.0]


def test_channels_of_noise_are_free(training: TinyTraining) -> None:
    tiny = training.trained(vae)
    model = vae.load(tiny)
    picture = pictures_to_tensor(shards.load(tiny, "scene").at(np.arange(4))[0])
    channels = tiny.vae.latent_channels
    with torch.no_grad():
        # The second half of the 1x1 convolution's outputs are the logarithms of variances.
        model.quant_conv.bias[channels:] = -20.0
        model.quant_conv.bias[channels + 3] = 20.0
        spread = model.encode(picture).latent_dist.mean.std((0, 2, 3))
    weights = anchored.channel_weights(model, picture)[0, :, 0, 0] * spread.square()
    assert int((weights < 0.1).sum()) == 1
    assert weights[3] < 0.1
