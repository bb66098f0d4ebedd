"""Trains the segmenter on products in every scene, and on plain backgrounds, which is what most product photos have."""

from __future__ import annotations

import json
import logging

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from export.networks.segmenter import Segmenter
from training import loop, networks, shards
from training.config import Config
from training.data import draw, pictures_to_tensor

log = logging.getLogger(__name__)

STAGE = "segmenter"


def alpha_loss(made: Tensor, real: Tensor) -> Tensor:
    """Cross-entropy, plus soft overlap (Milletari et al. 2016), plus twice the error on the border."""
    made = made.clamp(1e-4, 1 - 1e-4)
    entropy = functional.binary_cross_entropy(made, real)
    overlap = 1 - (2 * (made * real).sum((1, 2, 3)) + 1) / (made.sum((1, 2, 3)) + real.sum((1, 2, 3)) + 1)
    border = (functional.max_pool2d(real, 5, 1, 2) + functional.max_pool2d(-real, 5, 1, 2)).clamp(0, 1)
    edge = ((made - real).abs() * border).sum() / border.sum().clamp(min=1)
    return entropy + overlap.mean() + 2 * edge


def disturb(image: Tensor, alpha: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Mirror, scale, tone and a little noise."""
    if rng.random() < 0.5:
        image, alpha = image.flip(-1), alpha.flip(-1)
    if rng.random() < 0.5:
        # Products come in every size: zoom in on a window that still holds most of the product.
        side = int(rng.integers(5, 8)) * 32
        top, left = 256 - side, int(rng.integers(0, 257 - side))
        image = functional.interpolate(image[..., top:, left : left + side], size=(256, 256), mode="bilinear")
        alpha = functional.interpolate(alpha[..., top:, left : left + side], size=(256, 256), mode="bilinear")
    gain = torch.from_numpy(rng.uniform(0.85, 1.15, (len(image), 3, 1, 1)).astype(np.float32))
    shift = torch.from_numpy(rng.uniform(-0.1, 0.1, (len(image), 3, 1, 1)).astype(np.float32))
    noise = 0.03 * float(rng.random()) * torch.randn_like(image)
    return (image * gain + shift + noise).clamp(-1, 1), alpha


def train(config: Config) -> Segmenter:
    """Trains the segmenter and records its held-out overlap."""
    torch.manual_seed(config.seed)
    model: Segmenter = networks.segmenter(config).to(memory_format=torch.channels_last)
    rate, steps = config.small.learning_rate, config.small.segmenter_steps
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=1e-3)
    average = loop.Average(model, 0.995)
    run = loop.Run(config, STAGE, model=model, optimiser=optimiser, average=average)
    run.resume()
    scenes, photos = shards.load(config, "scene"), shards.load(config, "photo")
    count = config.small.batch // 2
    model.train()

    def body(step: int) -> dict[str, float]:
        rng = loop.generator(config, STAGE, step)
        image, mask, _ = draw(photos if step % 2 else scenes, rng, count)
        image, alpha = disturb(image, 1 - mask, rng)
        with loop.half_precision():
            made = model(image.contiguous(memory_format=torch.channels_last))
        loss = alpha_loss(made.float(), alpha)
        optimiser.param_groups[0]["lr"] = loop.learning_rate(step, steps, rate, 50)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        average.update(model)
        return {"loss": loss.item(), "error": float((made - alpha).abs().mean().detach())}

    run.loop(steps, body)
    model.load_state_dict(average.weights)
    model.eval()
    scores = {kind: overlap(model, shards.load(config, kind)) for kind in ("held", "heldphoto")}
    (run.folder / "scores.json").write_text(json.dumps(scores, indent=2) + "\n")
    log.info("held-out overlap (IoU): %s", scores)
    return model


@torch.no_grad()
def overlap(model: Segmenter, held: shards.PictureSet, count: int = 128) -> float:
    """Mean intersection over union at alpha 1/2."""
    scores: list[float] = []
    for start in range(0, min(count, len(held)), 16):
        images, masks = held.at(np.arange(start, min(start + 16, len(held))))
        made, real = model(pictures_to_tensor(images))[:, 0] > 0.5, torch.from_numpy(masks) > 127
        scores += ((made & real).sum((1, 2)) / (made | real).sum((1, 2)).clamp(min=1)).tolist()
    return float(np.mean(scores))


def load(config: Config) -> Segmenter:
    """The trained segmenter, as far as it has got."""
    model = networks.segmenter(config)
    loop.load_average(config, STAGE, model)
    return model


if __name__ == "__main__":
    loop.run_stage(__doc__, train)
