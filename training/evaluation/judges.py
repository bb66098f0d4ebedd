"""The segmenter, the embeddings and the reward model, on pictures that nothing was trained on."""

from __future__ import annotations

import logging

import numpy as np
import torch
from torch import Tensor

from export.networks.uve import UVE
from training import classifier, retrieval, reward, segmenter, uve
from training.data import pictures_to_tensor
from training.evaluation import held, make
from training.evaluation.context import Context
from training.evaluation.figures import Figure
from training.evaluation.growth import growth
from training.evaluation.statistics import bootstrap, permutation_p, wilson
from training.generate import Folder
from training.world.labels import UNSEEN_PRODUCTS, draw_spec
from training.world.picture import render

log = logging.getLogger(__name__)

PROMPTS, OF, TOP = 16, 8, 2


def segmenters(context: Context) -> list[Figure]:
    """Overlap with the true alpha at 1/2: on every product in scenes, on plain photos, on kinds never trained on."""
    model = context.pipeline("backdrop").segmenter
    seen = [row["product"] not in UNSEEN_PRODUCTS for row in context.held.rows]
    known = held.as_set([render(row["seed"]) for row, ok in zip(context.held.rows, seen, strict=True) if ok])
    strange = [
        seed for seed in range(held.STYLE_SEED, held.STYLE_SEED + 4000) if draw_spec(seed).product in UNSEEN_PRODUCTS
    ]
    unseen = held.as_set([render(seed) for seed in strange[:128]])
    sets = (
        ("products in scenes", known, 0.95),
        ("plain product photos", held.pictures(128, photos=True), 0.95),
        ("kinds of product it never saw", unseen, 0.85),
    )
    figures = []
    for name, pictures, mark in sets:
        scores = segmenter.overlaps(model, pictures, count=192)
        figures.append(Figure(f"segmenter IoU, {name}", float(np.mean(scores)), mark, "higher", bootstrap(scores)))
    return figures


def embeddings(context: Context) -> list[Figure]:
    """Retrieval of the same scene and palette among held-out pictures, by the floats and by the binary code."""
    model = Folder(context.config.paths.weights / "backdrop").read(UVE, "image_encoder_uve")
    gallery = retrieval.gallery(context.config)
    scores = uve.held_out(model, context.held, gallery)
    count = len(context.held)
    precision, hit = scores["float_precision_at_10"], scores["float_hit_at_10"]
    return [
        Figure(
            "UVE retrieval, same scene and palette, precision in the top 10",
            precision,
            0.90,
            "higher",
            wilson(precision, count),
        ),
        Figure("UVE retrieval, binary over float", scores["binary_over_float"], 0.95, "higher", 0.0),
        Figure("UVE retrieval, same scene and palette, hit in the top 10", hit, None, "higher", wilson(hit, count)),
        Figure("UVE retrieval, share of the same product in the top 10", scores["product_share"], None, "lower", 0.0),
    ]


def heads(context: Context) -> list[Figure]:
    """Each head's area under the ROC curve on held-out pictures, damage and captions."""
    pipeline = context.pipeline("backdrop")
    scores = reward.held_out_auc(context.config, pipeline.reward, lambda texts: pipeline.encode(texts)[1])
    marks = {"defects": 0.95, "fidelity": None, "aesthetics": None}
    return [Figure(f"reward head {name}, AUC", scores[name], mark, "higher", 0.0) for name, mark in marks.items()]


def best_of(context: Context) -> list[Figure]:
    """The top 2 of 8 by the reward against 2 drawn at random, on three measures that are not the reward's own.

    Measures: product kept to its mask (1 - growth, by the segmenter), scene recognised (the judge's probability), and
    technical quality (likeness of the picture's fine detail to rendered ones').
    """
    pipeline = context.pipeline("backdrop")
    prompts = held.prompts(PROMPTS)
    made, scores = [], []
    for n, prompt in enumerate(prompts):
        product = context.products.take(n, 1)
        eight = held.Products(product.image.expand(OF, -1, -1, -1), product.mask.expand(OF, -1, -1, -1))
        pictures = make.generate(
            pipeline, eight, [prompt.text] * OF, f"best of {OF}, {n + 1}/{PROMPTS}", seed=1000 + OF * n
        )
        embeds = pipeline.encode([prompt.text])[1].expand(OF, -1)
        with torch.no_grad():
            scores.append(pipeline.reward(pictures, eight.mask, embeds).mean(1))
        made.append(pictures)
    figures = []
    measures = quality(context, made, prompts)
    for name, values in measures.items():
        gains = []
        for row, marks in zip(scores, values, strict=True):
            best = row.topk(TOP).indices
            gains.append(float(marks[best].mean() - marks.mean()))
        p = permutation_p(gains)
        log.info("top %d of %d, %s: gain %.4f, p %.4f", TOP, OF, name, np.mean(gains), p)
        figures.append(Figure(f"top {TOP} of {OF} over random {TOP}, {name}, p of no gain", p, 0.05, "lower", 0.0))
        figures.append(
            Figure(
                f"top {TOP} of {OF} over random {TOP}, {name}, gain",
                float(np.mean(gains)),
                None,
                "higher",
                bootstrap(gains),
            )
        )
    return figures


@torch.no_grad()
def quality(context: Context, made: list[Tensor], prompts: list[held.Prompt]) -> dict[str, list[Tensor]]:
    """The three measures of each picture of each prompt, higher is better."""
    kept, fits, sharp = [], [], []
    target = detail(pictures_to_tensor(context.held.at(np.arange(64))[0])).mean(0)
    for n, (pictures, prompt) in enumerate(zip(made, prompts, strict=True)):
        mask = context.products.take(n, 1).mask
        kept.append(-torch.tensor(growth(context, pictures, mask.expand(len(pictures), -1, -1, -1))))
        fits.append(classifier.probability(context.judge, pictures, "scene", prompt.scene))
        sharp.append(-(detail(pictures) - target).abs().mean(1))
    return {"product kept to its mask": kept, "scene recognised": fits, "likeness of detail": sharp}


def detail(pictures: Tensor) -> Tensor:
    """Log energy of three octaves of fine detail [N, 3]: blur lacks it, noise has too much of it."""
    grey, rows = pictures.mean(1, keepdim=True), []
    for _ in range(3):
        low = torch.nn.functional.avg_pool2d(grey, 2)
        up = torch.nn.functional.interpolate(low, scale_factor=2.0, mode="bilinear")
        rows.append((grey - up).abs().mean((1, 2, 3)).clamp(min=1e-4).log())
        grey = low
    return torch.stack(rows, dim=1)


def measure(context: Context) -> list[Figure]:
    """All of them."""
    return [*segmenters(context), *embeddings(context), *heads(context), *best_of(context)]
