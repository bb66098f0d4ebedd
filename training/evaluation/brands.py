"""Whether a brand LoRA gives the brand's look: how often a classifier recognises it with and without the LoRA."""

from __future__ import annotations

import logging

import numpy as np
import torch
from torch import Tensor, nn

from training.config import HELD_OUT_SEED
from training.data.pictures import pictures_to_tensor
from training.evaluation import generation
from training.evaluation.context import Context
from training.evaluation.figures import Figure
from training.evaluation.statistics import wilson
from training.world.brand import NAME, brand_picture, brand_spec
from training.world.picture import render

log = logging.getLogger(__name__)

TEACH_SEED = 9_000_000
"""First seed of the pictures that train the brand's classifier; the LoRA was trained on others."""


class BrandJudge(nn.Module):
    """Tells the brand's pictures from others at 32x32 pixels, by colours and coarse shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1),
            nn.SiLU(),
            nn.Conv2d(16, 32, 3, 2, 1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(2048, 1),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits [N] of pictures [N, 3, 256, 256] in [-1, 1]."""
        return torch.as_tensor(self.body(nn.functional.avg_pool2d(pictures, 8))[:, 0])


def teach(count: int = 192, steps: int = 200) -> BrandJudge:
    """Trains the classifier in seconds on rendered pictures with random contrast and noise."""
    torch.manual_seed(0)
    ours = np.stack([brand_picture(TEACH_SEED + n).image for n in range(count)])
    others = np.stack([render(TEACH_SEED + n).image for n in range(count)])
    pictures = pictures_to_tensor(np.concatenate([ours, others]))
    target = torch.cat([torch.ones(count), torch.zeros(count)])
    judge = BrandJudge().train()
    optimiser = torch.optim.AdamW(judge.parameters(), lr=2e-3, weight_decay=0.05)
    for _ in range(steps):
        pick = torch.randint(len(pictures), (32,))
        shown = pictures[pick] * (1 + 0.1 * torch.randn(32, 1, 1, 1)) + 0.05 * torch.randn(32, 3, 1, 1)
        loss = nn.functional.binary_cross_entropy_with_logits(judge(shown), target[pick])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return judge.eval().requires_grad_(False)


def measure(context: Context) -> list[Figure]:
    """The share of recognised pictures with the LoRA over that without, for the same prompts, which name the brand."""
    judge = teach()
    count = min(context.count, 64)
    specs = [brand_spec(HELD_OUT_SEED + n) for n in range(count)]
    texts = [f"{NAME} style, {spec.product} on the {spec.scene}" for spec in specs]
    shares = {}
    for name, pipeline in (
        ("with", context.with_lora(f"{NAME}.safetensors")),
        ("without", context.pipeline("backdrop")),
    ):
        pictures = generation.generate(pipeline, context.products, texts, f"brand, {name}")
        shares[name] = float((judge(pictures) > 0).float().mean())
    real = pictures_to_tensor(np.stack([brand_picture(HELD_OUT_SEED + n).image for n in range(count)]))
    other = context.rendered(0, count)
    right = float(torch.cat([judge(real) > 0, judge(other) <= 0]).float().mean())
    log.info("brand recognised with %.3f, without %.3f", shares["with"], shares["without"])
    # If no picture is recognised without the LoRA, half a picture is counted, so that the ratio is finite.
    ratio = shares["with"] / max(shares["without"], 0.5 / count)
    return [
        Figure("brand recognised, with the LoRA over without", ratio, 3.0, "higher", 0.0),
        Figure("brand recognised with the LoRA", shares["with"], 0.8, "higher", wilson(shares["with"], count)),
        Figure("brand recognised without the LoRA", shares["without"], None, "lower", wilson(shares["without"], count)),
        Figure("the brand's judge on rendered pictures, accuracy", right, None, "higher", wilson(right, 2 * count)),
    ]
