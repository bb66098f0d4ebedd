"""Trains the upscaler: rendered pictures from their halves, as codecs and our decoder blur them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch import Tensor

from export.networks.upscaler import Upscaler
from training.config import HELD_OUT_SEED, Config
from training.core import loop, networks
from training.data.array_cache import cached_array
from training.encoders import vae
from training.world.picture import render

log = logging.getLogger(__name__)

STAGE = "upscaler"
FACTOR = 2
HELD_OUT = 16
"""Held-out renders that the stage's score is the mean of."""
_DECODED, _DAMAGED = 0.15, 0.2
"""Shares of the crops that our decoder blurred, and that are blurred, noisy or compressed."""

Bytes = NDArray[np.uint8]


def renders(seeds: Sequence[int], size: int) -> Bytes:
    """Rendered pictures [N, size, size, 3]."""
    return np.stack([render(seed, size).image for seed in seeds])


def shrunk(picture: Bytes, factor: int = FACTOR) -> Bytes:
    """A picture [H, W, 3] by Lanczos to [H/factor, W/factor, 3]."""
    height, width = picture.shape[:2]
    return np.asarray(Image.fromarray(picture).resize((width // factor, height // factor), Image.Resampling.LANCZOS))


def damaged(picture: Bytes, rng: np.random.Generator) -> Bytes:
    """A small picture a little blurred, noisy or compressed; perhaps all three."""
    image = Image.fromarray(picture)
    if rng.random() < 0.5:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.2, 0.7))))
    if rng.random() < 0.5:
        noise = rng.normal(0, rng.uniform(0.5, 4), picture.shape)
        image = Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))
    if rng.random() < 0.5:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=int(rng.integers(75, 96)), subsampling=0)
        image = Image.open(buffer)
    return np.asarray(image)


@torch.no_grad()
def decoded(config: Config, pictures: Bytes) -> Bytes:
    """Small pictures [N, H, W, 3] as our autoencoder makes them again, with nothing known to its decoder."""
    model, device = vae.load(config).to(loop.device()), loop.device()
    parts = []
    for start in range(0, len(pictures), 8):
        image = torch.from_numpy(pictures[start : start + 8]).permute(0, 3, 1, 2).float().div(127.5).sub(1).to(device)
        with loop.half_precision():
            latents = model.encode(image).latent_dist.mean
            mask = torch.ones_like(image[:, :1])
            again = model.decode(latents, image=torch.zeros_like(image), mask=mask).sample
        parts.append((again.float().clamp(-1, 1) + 1).mul(127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu())
    return torch.cat(parts).numpy()


def batch(
    large: Bytes, small: Bytes, soft: Bytes, rng: np.random.Generator, count: int, crop: int
) -> tuple[Tensor, Tensor]:
    """Crops of small pictures [B, 3, crop, crop] and of the large ones [B, 3, 2·crop, 2·crop], in 0…1, turned around.

    Args:
        large: all large pictures.
        small: their halves.
        soft: the same halves, encoded and decoded.
        rng: draws the crops.
        count: of the crops.
        crop: side of a small one.
    """
    pairs = []
    for _ in range(count):
        index, kind = int(rng.integers(len(large))), rng.random()
        y, x = (int(rng.integers(0, extent - crop + 1)) for extent in small.shape[1:3])
        source = (soft if kind < _DECODED else small)[index, y : y + crop, x : x + crop]
        source = damaged(source, rng) if _DECODED <= kind < _DECODED + _DAMAGED else source
        target = large[index, FACTOR * y : FACTOR * (y + crop), FACTOR * x : FACTOR * (x + crop)]
        turns, mirror = int(rng.integers(4)), rng.random() < 0.5
        turned = [np.rot90(part, turns) for part in (source, target)]
        pairs.append([np.ascontiguousarray(part[:, ::-1] if mirror else part) for part in turned])
    inputs, targets = (
        torch.from_numpy(np.stack(part)).permute(0, 3, 1, 2).float().div(255) for part in zip(*pairs, strict=True)
    )
    return inputs, targets


def loss_of(predicted: Tensor, target: Tensor, border: int = 8) -> dict[str, Tensor]:
    """Mean error of pixels and of their differences, without `border` pixels at which the crop ends.

    A network trained on pixels alone leaves edges soft where it is unsure of their place; the differences' error does
    not forgive that.
    """
    inside = (..., slice(border, -border), slice(border, -border))
    error = predicted[inside] - target[inside]
    across, down = error.diff(dim=-1).abs().mean(), error.diff(dim=-2).abs().mean()
    return {"pixels": error.abs().mean(), "edges": 0.25 * (across + down)}


def train(config: Config) -> Upscaler:
    """Trains the upscaler and writes its held-out gain over Lanczos, in dB."""
    torch.manual_seed(config.seed)
    c, device = config.upscaler, loop.device()
    shards = config.paths.work / "shards"
    shards.mkdir(parents=True, exist_ok=True)
    large = cached_array(shards / f"large-{c.pictures}.npy", lambda: renders(range(c.pictures), c.size))
    small = np.stack([shrunk(picture) for picture in large])
    soft = cached_array(shards / f"small-decoded-{c.pictures}.npy", lambda: decoded(config, small))
    model: Upscaler = networks.upscaler(config)
    model.to(device).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), lr=c.learning_rate, weight_decay=0)
    average = loop.Average(model, 0.998)
    run = loop.Run(config, STAGE, model=model, optimiser=optimiser, average=average)
    run.resume()

    def body(step: int) -> dict[str, float]:
        inputs, targets = batch(large, small, soft, loop.generator(config, STAGE, step), c.batch, c.crop)
        with loop.half_precision():
            predicted = model(inputs.to(device).contiguous(memory_format=torch.channels_last))
        parts = loss_of(predicted.float(), targets.to(device))
        optimiser.param_groups[0]["lr"] = run.learning_rate(c.steps, c.learning_rate)
        optimiser.zero_grad()
        torch.stack(list(parts.values())).sum().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        average.update(model)
        return {name: value.item() for name, value in parts.items()}

    run.loop(c.steps, body)
    model.load_state_dict(average.weights)
    model.cpu().eval()
    gains = [gain_db(model, picture) for picture in renders(range(HELD_OUT_SEED, HELD_OUT_SEED + HELD_OUT), c.size)]
    (run.folder / "scores.json").write_text(json.dumps({"gain_db": float(np.mean(gains))}, indent=2) + "\n")
    log.info("held-out gain over Lanczos: %.2f dB", np.mean(gains))
    return model


@torch.no_grad()
def enlarged(model: Upscaler, picture: Bytes) -> Bytes:
    """A picture [H, W, 3] in one piece through the upscaler; beyond its border it continues with its last pixels."""
    margin, cut = model.radius, model.radius * model.factor
    padded = np.pad(picture, ((margin, margin), (margin, margin), (0, 0)), "edge")
    larger = model(torch.from_numpy(padded).permute(2, 0, 1)[None].float().div(255))[0, :, cut:-cut, cut:-cut]
    pixels: Bytes = larger.clamp(0, 1).mul(255).round().permute(1, 2, 0).to(torch.uint8).numpy()
    return pixels


def gain_db(model: Upscaler, picture: Bytes) -> float:
    """By how much the upscaler's PSNR of a picture [H, W, 3] exceeds that of Lanczos, both from the picture's half."""
    half = shrunk(picture)
    ours = enlarged(model, half)
    height, width = picture.shape[:2]
    lanczos = np.asarray(Image.fromarray(half).resize((width, height), Image.Resampling.LANCZOS))
    return psnr(ours, picture) - psnr(lanczos, picture)


def psnr(picture: NDArray[np.generic], truth: NDArray[np.generic]) -> float:
    """Peak signal-to-noise ratio in dB of pictures in 0…255."""
    error = np.mean((picture.astype(np.float64) - truth.astype(np.float64)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def load(config: Config) -> Upscaler:
    """The upscaler of the last checkpoint."""
    return loop.load_average(config, STAGE, networks.upscaler(config))


if __name__ == "__main__":
    loop.run_stage(__doc__, train)
