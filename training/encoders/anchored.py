"""Trains a finished autoencoder further while its latents stay about where they are.

Denoisers that were trained on the latents of before then need a short training on the new ones, not one from the start.
Only channels that hold mostly noise may change: they are free to learn what the others leave out.
`python -m training.encoders.anchored`; then encode again (`training.encoded.latents`), and train the decoder alone.
"""

from __future__ import annotations

import copy
import logging
import shutil

import torch
from diffusers import AsymmetricAutoencoderKL
from torch import Tensor

from training.config import Config
from training.core import loop, muon, workers
from training.data import shards
from training.data.pictures import draw_batch
from training.encoders import vae

log = logging.getLogger(__name__)

STAGE = "anchored"
FREE = 0.5
"""A channel is free if its noise is more than this share of its spread."""
FREE_WEIGHT = 0.02
"""The weight of free channels, of the others'."""


@torch.no_grad()
def channel_weights(model: AsymmetricAutoencoderKL, pictures: Tensor) -> Tensor:
    """The weight of a move of each latent channel, in squared spreads of the channel: [1, C, 1, 1]."""
    posterior = model.encode(pictures.to(loop.device())).latent_dist
    spread = posterior.mean.std((0, 2, 3))
    free = posterior.std.mean((0, 2, 3)) > FREE * spread
    weights: Tensor = torch.where(free, FREE_WEIGHT, 1.0) / spread.square().clamp(min=1e-6)
    return weights[None, :, None, None]


def train(config: Config) -> AsymmetricAutoencoderKL:
    """Trains encoder and decoder from the autoencoder of `training.encoders.vae`, and writes it in its place."""
    worker = workers.join()
    torch.manual_seed(config.seed + worker.rank)
    v = config.vae
    before = vae.load(config).to(loop.device(), memory_format=torch.channels_last).requires_grad_(False)
    model = copy.deepcopy(before).requires_grad_(True).train()
    for each in (before, model):
        loop.plain_attention(each)
    optimiser, average = muon.optimiser(model, v.learning_rate), loop.Average(model, 0.995)
    run = loop.Run(config, STAGE, vae=model, optimiser=optimiser, average=average)
    run.resume()
    pictures = shards.load(config, "scene")
    weights = channel_weights(before, draw_batch(pictures, loop.generator(config, STAGE, 0), 8)[0])

    def body(step: int) -> dict[str, float]:
        draw_number = (step + v.steps + v.decoder_steps) * worker.count + worker.rank
        # Every second step on larger crops, up to whole pictures, as the decoder alone is trained.
        image, mask = vae.batch(config, pictures, draw_number, worker, decoder_only=step % 2 == 0)
        optimiser.param_groups[0]["lr"] = run.learning_rate(v.anchored_steps, v.learning_rate)
        with loop.half_precision():
            posterior = model.encode(image).latent_dist
            with torch.no_grad():
                target = before.encode(image).latent_dist.mean
            decoded = model.decode(posterior.sample(), image=image, mask=mask).sample.float()
        moved = (weights * (posterior.mean.float() - target.float()).square()).mean()
        kl = posterior.kl().mean() / posterior.mean[0].numel()
        loss = vae.reconstruction(config, decoded, image) + v.anchor_weight * moved + v.kl_weight * kl
        optimiser.zero_grad()
        loss.backward()
        worker.average_gradients(model.parameters())
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        average.update(model)
        return {
            "loss": loss.item(),
            "l1": (decoded - image).abs().mean().item(),
            "moved": moved.item(),
            "kl": kl.item(),
        }

    run.loop(v.anchored_steps, body, writes=worker.leads)
    model.load_state_dict(average.weights)
    if worker.leads:
        torch.save(model.state_dict(), config.paths.work / "vae" / "encoder.pt")
        # This stage's own checkpoint goes too: a later call starts from its result, and does not end at once and remove
        # what was trained on it since.
        for stale in ("decoder", "latents", STAGE):
            log.info("removing %s, of the autoencoder of before", config.paths.work / stale)
            shutil.rmtree(config.paths.work / stale, ignore_errors=True)
    return model


if __name__ == "__main__":
    loop.run_stage(__doc__, train)
