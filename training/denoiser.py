"""Trains the denoiser: v-prediction, inpainting and text-to-image in one network, min-SNR weighting, averaged weights.

`python -m training.denoiser` goes on from its checkpoint; the averaged weights in it can be served at any time. On a
busy machine several one-thread workers do better than one worker of several threads, because they wait for each other
once a step and not once a layer: `python -m torch.distributed.run --nproc-per-node 2 -m training.denoiser --threads 1`.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from diffusers import UNet2DConditionModel
from torch import Tensor

from training import latents, loop, networks
from training.config import Config

log = logging.getLogger(__name__)

STAGE = "denoiser"


def alphas(config: Config) -> Tensor:
    """Cumulative product of 1 - beta, on the "scaled linear" schedule."""
    s = config.schedule
    betas = torch.linspace(s.beta_start**0.5, s.beta_end**0.5, s.train_timesteps, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, dim=0).float()


def time_ids(height: int, width: int, count: int) -> Tensor:
    """SDXL's size conditioning: original size, crop corner, target size, in pixels."""
    return torch.tensor([[height, width, 0, 0, height, width]], dtype=torch.float32).expand(count, -1)


def window(rng: np.random.Generator, bank: latents.Bank) -> tuple[slice, slice]:
    """Which part of the latents a batch trains on: whole squares at 128 pixels, the three buckets in turn at 256."""
    side = bank.latent.shape[-1]
    draw = rng.random()
    if bank.size < 256 or draw < 0.6:
        return slice(0, side), slice(0, side)
    short = side * 3 // 4
    # A product stands near the lower edge, so a wide picture is cut from above more than from below.
    top, left = side - short - int(rng.integers(0, 4)), int(rng.integers(0, side - short + 1))
    return (slice(top, top + short), slice(0, side)) if draw < 0.8 else (slice(0, side), slice(left, left + short))


@dataclass(frozen=True)
class Workers:
    """The processes that share a step: each takes a part of the batch, and all take the mean gradient."""

    rank: int = 0
    count: int = 1

    def average_gradients(self, network: torch.nn.Module) -> None:
        """One all-reduce over all gradients."""
        if self.count == 1:
            return
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        for gradient, part in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient) / self.count)


def join_workers() -> Workers:
    """Joins the workers torch.distributed.run started, if it did."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Workers()
    dist.init_process_group("gloo")
    return Workers(dist.get_rank(), dist.get_world_size())


def batch(
    config: Config, bank: latents.Bank, captions: latents.Captions, draw: int, workers: int = 1
) -> dict[str, Tensor]:
    """Latents, conditions and prompts of one worker's share of a step; `draw` numbers the shares."""
    rng = loop.generator(config, STAGE, draw)
    count = (config.denoiser.batch if bank.size < 256 else config.denoiser.large_batch) // workers
    pick = rng.integers(len(bank), size=count)
    rows, columns = window(rng, bank)
    cut = (slice(None), slice(None), rows, columns)
    index = torch.from_numpy(pick)
    latent, masked, mask = (plane[index][cut].float() for plane in (bank.latent, bank.masked, bank.mask))
    whole = torch.from_numpy(rng.random(count) < config.denoiser.text_to_image)[:, None, None, None]
    masked = torch.where(whole, bank.grey[cut].float(), masked)
    mask = torch.where(whole, torch.ones_like(mask), mask)
    caption = pick % (len(captions.pooled) // captions.per_picture) * captions.per_picture
    caption = caption + rng.integers(captions.per_picture, size=count)
    caption[rng.random(count) < config.denoiser.prompt_drop] = len(captions.pooled) - 1
    states, pooled = captions.at(caption)
    height, width = (8 * extent for extent in latent.shape[-2:])
    return {
        "latent": latent, "masked": masked, "mask": mask, "states": states, "pooled": pooled,
        "time_ids": time_ids(height, width, count),
    }  # fmt: skip


def diffuse(
    config: Config, latent: Tensor, alpha_bar: Tensor, rng: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Noisy latents, their v-target, the timesteps and the loss weights of one batch."""
    count, top = len(latent), config.schedule.train_timesteps
    # Stratified: every batch covers the whole schedule, which steadies the loss.
    share = (torch.arange(count) + torch.rand(count, generator=rng)) / count
    t = (share * top).long().clamp(max=top - 1)
    a, s = alpha_bar[t].sqrt()[:, None, None, None], (1 - alpha_bar[t]).sqrt()[:, None, None, None]
    noise = torch.randn(latent.shape, generator=rng)
    noisy, target = a * latent + s * noise, a * noise - s * latent
    # Sampling starts from pure noise, which this schedule never reaches: its last steps are shown both.
    pure = ((t >= 980) & (torch.rand(count, generator=rng) < 0.5))[:, None, None, None]
    noisy = torch.where(pure, noise, noisy)
    snr = alpha_bar[t] / (1 - alpha_bar[t])
    weight = snr.clamp(max=config.denoiser.min_snr_gamma) / (snr + 1)
    # Where noise prevails, min-SNR alone would hardly weigh at all; but that is where the layout of a scene is decided.
    weight = weight.clamp(min=config.denoiser.weight_floor)
    return noisy, target, t, weight


def predict(unet: UNet2DConditionModel, noisy: Tensor, t: Tensor, b: dict[str, Tensor]) -> Tensor:
    """The network's prediction, channels in the pipeline's order: sample, mask, masked latents."""
    sample = torch.cat([noisy, b["mask"], b["masked"]], dim=1)
    conditions = {"text_embeds": b["pooled"], "time_ids": b["time_ids"]}
    return torch.as_tensor(unet(sample, t, b["states"], added_cond_kwargs=conditions).sample)


def train(config: Config) -> None:
    """Small latents first, then large ones; shards are picked up as they are written."""
    workers = join_workers()
    torch.manual_seed(config.seed)
    d = config.denoiser
    unet = networks.unet(config).to(memory_format=torch.channels_last).train()
    loop.plain_attention(unet)
    optimiser = torch.optim.AdamW(unet.parameters(), lr=d.learning_rate, weight_decay=0.01, betas=(0.9, 0.99))
    average = loop.Average(unet, d.ema)
    run = loop.Run(config, STAGE, unet=unet, optimiser=optimiser, average=average)
    run.resume()
    captions, alpha_bar = latents.load_captions(config), alphas(config)
    bank = latents.load_pictures(config, 128 if run.step < d.small_steps else config.data.size)

    def body(step: int) -> dict[str, float]:
        nonlocal bank
        if step == d.small_steps or step % 200 == 0:
            bank = latents.load_pictures(config, 128 if step < d.small_steps else config.data.size)
        draw = step * workers.count + workers.rank
        b = batch(config, bank, captions, draw, workers.count)
        noisy, target, t, weight = diffuse(config, b["latent"], alpha_bar, torch.Generator().manual_seed(draw))
        with loop.half_precision():
            made = predict(unet, noisy.contiguous(memory_format=torch.channels_last), t, b)
        # The kept product is nearly given away by the condition; the made background is what must be learnt.
        place = 0.2 + 0.8 * b["mask"]
        error = ((made.float() - target) ** 2 * place).mean(dim=(1, 2, 3)) / place.mean(dim=(1, 2, 3))
        loss = (error * weight).mean()
        optimiser.param_groups[0]["lr"] = loop.learning_rate(step, d.steps, d.learning_rate, d.warmup)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        workers.average_gradients(unet)
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimiser.step()
        if workers.rank == 0:
            average.update(unet)
        return {"loss": loss.item(), "v": error.mean().item()}

    run.loop(d.steps, body, writes=workers.rank == 0)


def load(config: Config) -> UNet2DConditionModel:
    """The averaged weights of the latest checkpoint."""
    unet = networks.unet(config)
    loop.load_average(config, STAGE, unet)
    return unet


if __name__ == "__main__":
    loop.run_stage(__doc__, train)
