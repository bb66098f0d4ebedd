"""The upscaler begins as Lanczos and learns from there; what is farther away than its radius has no influence."""

from __future__ import annotations

import json

import numpy as np
import torch
from PIL import Image

from export.networks.upscaler import Upscaler
from tests.training.conftest import TinyTraining
from training.encoders import upscaler, vae
from training.world.picture import render


def test_it_begins_as_lanczos() -> None:
    picture = render(1, 64).image
    network = Upscaler(channels=4, convolutions=1).eval()
    with torch.no_grad():
        larger = network(torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255)[0]
    ours = larger.clamp(0, 1).mul(255).permute(1, 2, 0).numpy()
    lanczos = np.asarray(Image.fromarray(picture).resize((128, 128), Image.Resampling.LANCZOS))
    # Pillow rounds after each of its two passes.
    assert np.abs(ours - lanczos)[6:-6, 6:-6].mean() < 0.6


def test_pixels_beyond_its_radius_have_no_influence() -> None:
    torch.manual_seed(0)
    network = Upscaler(channels=8, convolutions=3).eval()
    torch.nn.init.normal_(network.last.weight)
    image = torch.rand(1, 3, 41, 41)
    changed = image.clone()
    changed[..., 20, 20] = 1 - changed[..., 20, 20]
    with torch.no_grad():
        rows = (network(image) - network(changed)).abs().sum((0, 1, 3)).nonzero()[:, 0]
    assert (int(rows.min()) // 2, int(rows.max()) // 2) == (20 - network.radius, 20 + network.radius)


def test_it_trains_and_is_scored_on_held_out_renders(training: TinyTraining) -> None:
    tiny = training.trained(vae, upscaler)
    assert isinstance(upscaler.load(tiny), Upscaler)
    scores = json.loads((tiny.paths.work / upscaler.STAGE / "scores.json").read_text())
    assert -3 < scores["gain_db"] < 3
