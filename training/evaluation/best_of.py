"""The gain of selection by the reward model: the top 2 of 8 pictures compared with 2 random ones.

Measured in two ways: among rendered pictures with faults put in, and among generated pictures, judged by three
measures other than the reward model. A good pipeline makes few faults, so the gain among its pictures is smaller.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from training.data.caption_match import matches
from training.data.corruption import DEGRADATIONS, damage, degrade
from training.data.pictures import pictures_to_tensor, product_masks
from training.data.shards import spec_of
from training.evaluation import generation, held_out
from training.evaluation.context import Context
from training.evaluation.figures import Figure
from training.evaluation.growth import growth
from training.evaluation.statistics import bootstrap, permutation_p
from training.judges import classifier
from training.world.captions import background_prompt

log = logging.getLogger(__name__)

WITHIN_MASK, RECOGNISED, DETAIL = "product kept to its mask", "scene recognised", "likeness of detail"
OF, TOP = 8, 2
PROMPTS = 40
POOLS = 64
"""Number of pools of pictures with known faults; each pool has its own prompt."""
MADE_MARKS = {WITHIN_MASK: 0.01, DETAIL: 0.01}
"""Marks of p among made pictures."""
WHY = "eight seeds of one prompt differ little in detail, and the reward model does not ask for it"


def gains(scores: Sequence[Tensor], values: Sequence[Tensor]) -> list[float]:
    """For every pool: the mean quality of the `TOP` by score minus that of the pool, which is what chance gives."""
    return [
        float(quality[row.topk(TOP).indices].mean() - quality.mean())
        for row, quality in zip(scores, values, strict=True)
    ]


def figures(
    scores: list[Tensor], measures: dict[str, list[Tensor]], among: str, marks: Mapping[str, float]
) -> list[Figure]:
    """Figures of gain and one-sided p for each measure; `marks` are those of p."""
    rows = []
    for name, values in measures.items():
        won = gains(scores, values)
        p, what = permutation_p(won), f"top {TOP} of {OF} over random {TOP}, {among}, {name}"
        log.info("%s: gain %.4f, p %.4f", what, np.mean(won), p)
        rows.append(Figure(f"{what}, p of no gain", p, marks.get(name), "lower", 0.0, WHY))
        rows.append(Figure(f"{what}, gain", float(np.mean(won)), None, "higher", bootstrap(won)))
    return rows


@torch.no_grad()
def among_known(context: Context) -> list[Figure]:
    """Pools of held-out pictures: half show another scene, half are damaged, half are degraded, independently."""
    pipeline, pictures, rng = context.pipeline("backdrop"), context.held, np.random.default_rng(31)
    scores: list[Tensor] = []
    truth: dict[str, list[Tensor]] = {"nothing damaged": [], "prompt fits": [], "not degraded": []}
    for n in range(POOLS):
        row = pictures.rows[n]
        spec = spec_of(row)
        text = background_prompt(spec, rng)
        images, masks, truths = [], [], []
        for _ in range(OF):
            index = n if rng.random() < 0.5 else int(rng.integers(len(pictures)))
            planes, covered = pictures.at(np.array([index]))
            image, mask = pictures_to_tensor(planes), product_masks(covered)
            damaged = damage(image, mask, rng) if rng.random() < 0.5 else None
            strength = float(rng.random()) if rng.random() < 0.5 else 0.0
            image = image if damaged is None else damaged.image
            if strength:
                image = degrade(DEGRADATIONS[int(rng.integers(len(DEGRADATIONS)))], image, strength, rng)
            images.append(image)
            masks.append(mask)
            truths.append((float(damaged is None), float(matches(pictures.rows[index], text, spec)), 1 - strength))
        embeds = pipeline.encode([text])[1].expand(OF, -1)
        scores.append(pipeline.reward(torch.cat(images), torch.cat(masks), embeds).mean(1))
        for values, column in zip(truth.values(), torch.tensor(truths).T, strict=True):
            values.append(column)
    return figures(scores, truth, "known faults", dict.fromkeys(truth, 0.05))


def among_generated(context: Context) -> list[Figure]:
    """Pools of generated pictures, eight seeds of one prompt each."""
    pipeline = context.pipeline("backdrop")
    prompts = held_out.prompts(PROMPTS)
    pools, scores = [], []
    for n, prompt in enumerate(prompts):
        product = context.products.take(n, 1)
        eight = held_out.Products(product.image.expand(OF, -1, -1, -1), product.mask.expand(OF, -1, -1, -1))
        pictures = generation.generate(
            pipeline, eight, [prompt.text] * OF, f"best of {OF}, {n + 1}/{PROMPTS}", seed=1000 + OF * n
        )
        embeds = pipeline.encode([prompt.text])[1].expand(OF, -1)
        with torch.no_grad():
            scores.append(pipeline.reward(pictures, eight.mask, embeds).mean(1))
        pools.append(pictures)
    return figures(scores, quality(context, pools, prompts), "made pictures", MADE_MARKS)


@torch.no_grad()
def quality(context: Context, pools: list[Tensor], prompts: list[held_out.Prompt]) -> dict[str, list[Tensor]]:
    """Three measures of each picture of each prompt; higher is better.

    Product within its mask (minus its growth, by the segmenter), scene recognised (the classifier's probability), and
    similarity of fine detail to that of rendered pictures.
    """
    within_mask, recognised, sharp = [], [], []
    target = detail(pictures_to_tensor(context.held.at(np.arange(64))[0])).mean(0)
    for n, (pictures, prompt) in enumerate(zip(pools, prompts, strict=True)):
        mask = context.products.take(n, 1).mask
        within_mask.append(-torch.tensor(growth(context, pictures, mask.expand(len(pictures), -1, -1, -1))))
        recognised.append(classifier.probability(context.judge, pictures, "scene", prompt.scene))
        sharp.append(-(detail(pictures) - target).abs().mean(1))
    return {WITHIN_MASK: within_mask, RECOGNISED: recognised, DETAIL: sharp}


def detail(pictures: Tensor) -> Tensor:
    """Log energy of three octaves of fine detail [N, 3]: low for blur, high for noise."""
    grey, rows = pictures.mean(1, keepdim=True), []
    for _ in range(3):
        low = torch.nn.functional.avg_pool2d(grey, 2)
        up = torch.nn.functional.interpolate(low, scale_factor=2.0, mode="bilinear")
        rows.append((grey - up).abs().mean((1, 2, 3)).clamp(min=1e-4).log())
        grey = low
    return torch.stack(rows, dim=1)


def measure(context: Context) -> list[Figure]:
    """The figures of both ways."""
    return [*among_known(context), *among_generated(context)]
