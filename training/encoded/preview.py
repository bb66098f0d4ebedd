"""Fits the preview: the linear map from a latent cell to a colour, by least squares."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import avg_pool2d

from training.config import Config
from training.core import loop
from training.data import shards
from training.data.pictures import draw_batch
from training.encoded import latents
from training.encoders import vae

log = logging.getLogger(__name__)


def fit(latent: NDArray[Any], colour: NDArray[Any]) -> dict[str, object]:
    """Solves colour = latent @ factors + bias. `latent` is [N, C], `colour` [N, 3] in [0, 1]."""
    design = np.concatenate([latent, np.ones((len(latent), 1))], axis=1)
    solution, *_ = np.linalg.lstsq(design, colour, rcond=None)
    return {"factors": solution[:-1].round(5).tolist(), "bias": solution[-1].round(5).tolist()}


def run(config: Config) -> dict[str, object]:
    """Fits the map on training pictures with the trained encoder."""
    model = vae.load(config)
    image, _, _ = draw_batch(
        shards.load(config, "scene"), loop.generator(config, "preview", 0), config.vae.preview_pictures
    )
    cells = torch.cat([latents.encode(model, part) for part in torch.split(image, 8)])
    colours = avg_pool2d(image * 0.5 + 0.5, 8)
    result = fit(
        cells.permute(0, 2, 3, 1).reshape(-1, cells.shape[1]).numpy().astype(np.float64),
        colours.permute(0, 2, 3, 1).reshape(-1, 3).numpy().astype(np.float64),
    )
    log.info("preview: %s", result)
    return result
