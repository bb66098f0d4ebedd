"""The CLIP image encoder trains against the text encoder and embeds pictures of any size into its space."""

from __future__ import annotations

import torch

from export.networks.image_pixels import CLIP_MEAN, CLIP_STD, clip_pixels, small_picture
from tests.training.conftest import TinyTraining
from training.encoders import image_encoder, text_encoders


def test_it_trains_and_embeds(training: TinyTraining) -> None:
    tiny = training.trained(text_encoders, image_encoder)
    embeds = image_encoder.embed(image_encoder.load(tiny), torch.rand(2, 3, 192, 256) * 2 - 1)
    assert embeds.shape == (2, tiny.text.projection)
    assert torch.allclose(embeds.norm(dim=1), torch.ones(2), atol=1e-4)


def test_pixels_are_means_of_blocks_without_clip_s_mean_and_spread() -> None:
    image = torch.rand(1, 3, 256, 256) * 2 - 1
    small = torch.nn.functional.avg_pool2d(image, 4)
    mean, std = (torch.tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))
    assert torch.allclose(clip_pixels(image, 64), ((small + 1) / 2 - mean) / std, atol=1e-5)
    assert torch.allclose(small_picture(image, 128), torch.nn.functional.avg_pool2d(image, 2), atol=1e-6)
