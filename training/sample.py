"""Draws samples with torch, as the served pipeline does: DPM-Solver++ 2M, guidance, decoding with the mask."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from diffusers import AsymmetricAutoencoderKL, UNet2DConditionModel
from PIL import Image
from torch import Tensor

from training import denoiser, latents, loop, networks, shards, text_encoders, tokenizer, vae
from training.config import Config
from training.data import latent_mask, masked_picture, pictures_to_tensor, product_masks

PROMPTS = (
    "a beach at sunset", "a city street at night", "outer space with a ringed planet", "a green forest with sunbeams",
    "a studio with a pink backdrop", "a desert with dunes", "a mountain lake on a sunny day", "a modern kitchen",
)  # fmt: skip


def guided(unet: UNet2DConditionModel, sample: Tensor, t: Tensor, b: dict[str, Tensor], scale: float) -> Tensor:
    """Classifier-free guidance; `b` holds the empty prompt's rows first, then the prompts'."""
    both = {**b, "mask": b["mask"].repeat(2, 1, 1, 1), "masked": b["masked"].repeat(2, 1, 1, 1)}
    noise = denoiser.predict(unet, sample.repeat(2, 1, 1, 1), t.expand(2 * len(sample)), both)
    empty, asked = noise.chunk(2)
    return empty + scale * (asked - empty)


@torch.no_grad()
def sample_latents(
    config: Config, unet: UNet2DConditionModel, b: dict[str, Tensor], scale: float, steps: int, seed: int
) -> Tensor:
    """Latents [B, 4, h, w] for the masks, masked latents and prompt states in `b`."""
    scheduler = networks.scheduler(config)
    scheduler.set_timesteps(steps)
    sample = torch.randn(b["masked"].shape, generator=torch.Generator().manual_seed(seed))
    for t in scheduler.timesteps:
        sample = scheduler.step(guided(unet, sample, t, b, scale), t, sample).prev_sample
    return sample


def prompt_states(config: Config, texts: list[str]) -> tuple[Tensor, Tensor]:
    """States and pooled embeddings of the empty prompt (once for each text) followed by the texts."""
    ids = text_encoders.tokens(tokenizer.load(config), [""] * len(texts) + texts, config.text.max_length)
    return text_encoders.encode(text_encoders.load(config), ids)


@torch.no_grad()
def generate(
    config: Config, unet: UNet2DConditionModel, model: AsymmetricAutoencoderKL, image: Tensor, mask: Tensor,
    texts: list[str], scale: float, steps: int = 20, seed: int = 1,
) -> Tensor:  # fmt: skip
    """Pictures [B, 3, H, W] in which everything under `mask` was made."""
    masked = masked_picture(image, mask)
    states, pooled = prompt_states(config, texts)
    height, width = image.shape[-2:]
    b = {
        "mask": latent_mask(mask), "masked": latents.encode(model, masked).contiguous(), "states": states,
        "pooled": pooled, "time_ids": denoiser.time_ids(height, width, 2 * len(texts)),
    }  # fmt: skip
    latent = sample_latents(config, unet, b, scale, steps, seed) / float(model.config["scaling_factor"])
    return torch.cat(
        [
            model.decode(latent[i : i + 1], image=masked[i : i + 1], mask=mask[i : i + 1]).sample
            for i in range(len(texts))
        ]
    ).clamp(-1, 1)


def sheet(rows: list[Tensor], path: Path) -> None:
    """Writes a contact sheet: each entry is a row of pictures [B, 3, H, W] in [-1, 1]."""
    grid = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)
    Image.fromarray(((grid + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()).save(path)


def main() -> None:
    """A sheet of the eight scenes: the held-out picture, and what was made around its product, at a few guidances."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sheet", type=Path, required=True)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--guidance", type=float, nargs="+", default=[3.0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    loop.start_logging()
    torch.set_num_threads(arguments.threads)
    config = Config()
    images, masks = shards.load(config, "held").at(np.arange(len(PROMPTS)))
    image, mask = pictures_to_tensor(images), product_masks(masks)
    factor = image.shape[-1] // arguments.size
    image, mask = torch.nn.functional.avg_pool2d(image, factor), torch.nn.functional.avg_pool2d(mask, factor)
    unet, model = denoiser.load(config), vae.load(config)
    made = [
        generate(config, unet, model, image, mask, list(PROMPTS), scale, arguments.steps)
        for scale in arguments.guidance
    ]
    sheet([image, *made], arguments.sheet)


if __name__ == "__main__":
    main()
