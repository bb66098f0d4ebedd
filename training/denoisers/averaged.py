"""Chooses the length of stage 1's average after its training: the one with the least error on held-out pictures.

`python -m training.denoisers.averaged` prints the error of each length, of the average that training kept and of the
last step's weights, and writes the best of them into the checkpoint. Later stages and `publish` take it from there.
After a rate that falls to almost nothing, the last step's weights may be best (decision 52).
"""

from __future__ import annotations

import itertools
import logging
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.config import Config
from training.core import averages, diffusion, loop, networks
from training.data import shards
from training.data.pictures import latent_mask, masked_picture, pictures_to_tensor, product_masks
from training.denoisers import inpaint
from training.encoded import latents, samples
from training.encoders import vae
from training.world.captions import full_caption

log = logging.getLogger(__name__)

WIDTHS = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.14, 0.2)
"""The lengths tried: standard deviations in time, as shares of the training."""
PICTURES = 64
BATCH = 16

State = dict[str, Tensor]


class HeldOut:
    """Encoded held-out pictures, half with their product's mask, half made whole; the same noise for all networks."""

    def __init__(self, config: Config, count: int = PICTURES) -> None:
        self._config, self._alpha_bar = config, diffusion.alphas(config)
        held, model = shards.load(config, "held"), vae.load(config)
        source = samples.Source(config, "held", config.diffusion.inpaint)
        self._samples = [self._sample(held, model, source, start) for start in range(0, min(count, len(held)), BATCH)]

    def _sample(
        self, held: shards.PictureSet, model: torch.nn.Module, source: samples.Source, start: int
    ) -> samples.Sample:
        picks = np.arange(start, min(start + BATCH, len(held)))
        images, masks = held.at(picks)
        image, mask = pictures_to_tensor(images), product_masks(masks)
        if start // BATCH % 2:
            mask = torch.ones_like(mask)
        rng = np.random.default_rng(start)
        text = source.text([full_caption(shards.spec_of(held.rows[n]), rng) for n in picks])
        latent, masked = (latents.encode(model, one) for one in (image, masked_picture(image, mask)))
        return samples.sample_of(picks, latent, masked, latent_mask(mask), text)

    @torch.no_grad()
    def error(self, state: State) -> float:
        """The mean squared error of the prediction of the network with these weights, where a picture is made."""
        unet = networks.unet(self._config)
        unet.load_state_dict(state)
        unet.eval().to(memory_format=loop.layout())
        errors = []
        for number, sample in enumerate(self._samples):
            rng = torch.Generator().manual_seed(number)
            noisy = diffusion.diffuse(self._config, sample.latent, self._alpha_bar, rng)
            with loop.half_precision():
                prediction = inpaint.predict(unet, noisy.sample, noisy.timestep, sample)
            errors.append(diffusion.masked_error(prediction.float(), noisy.target, sample.mask, known_weight=0.0))
        return float(torch.cat(errors).mean())


def choose(config: Config) -> float:
    """Writes the best average into stage 1's checkpoint; returns its error.

    Raises:
        FileNotFoundError: without a checkpoint or snapshots of stage 1.
    """
    folder: Path = config.paths.work / inpaint.STAGE
    checkpoint = torch.load(folder / "checkpoint.pt", weights_only=True, map_location="cpu")
    snapshots, held = averages.Snapshots.of(folder / averages.FOLDER), HeldOut(config)
    best, least = checkpoint["average"]["weights"], held.error(checkpoint["average"]["weights"])
    log.info("the average that training kept: %.5f", least)
    others = itertools.chain(
        [("the last step's weights", checkpoint["network"])],
        ((f"width {width:.2f}", snapshots.average(width)) for width in WIDTHS),
    )
    for name, state in others:
        error = held.error(state)
        log.info("%s: %.5f", name, error)
        if error < least:
            best, least = state, error
    checkpoint["average"]["weights"] = best
    torch.save(checkpoint, (folder / "checkpoint.pt").with_suffix(".tmp"))
    (folder / "checkpoint.pt").with_suffix(".tmp").rename(folder / "checkpoint.pt")
    return least


if __name__ == "__main__":
    loop.run_stage(__doc__, choose)
