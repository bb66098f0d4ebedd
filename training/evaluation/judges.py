"""The segmenter, the embeddings and the reward model on held-out pictures."""

from __future__ import annotations

import numpy as np

from export.networks.uve import UVE
from training.data import retrieval
from training.encoders import uve
from training.evaluation import held_out
from training.evaluation.context import Context
from training.evaluation.figures import Figure
from training.evaluation.statistics import bootstrap, wilson
from training.judges import reward, segmenter
from training.publish.weights_folder import WeightsFolder
from training.world.labels import UNSEEN_PRODUCTS, draw_spec
from training.world.picture import render


def segmenters(context: Context) -> list[Figure]:
    """Overlap with the true alpha at 1/2: on products in scenes, on plain photos, and on unseen kinds."""
    model = context.pipeline("backdrop").segmenter
    seen = [row["product"] not in UNSEEN_PRODUCTS for row in context.held.rows]
    seen_products = held_out.as_set(
        [render(row["seed"]) for row, ok in zip(context.held.rows, seen, strict=True) if ok]
    )
    unseen_seeds = [
        seed
        for seed in range(held_out.STYLE_SEED, held_out.STYLE_SEED + 4000)
        if draw_spec(seed).product in UNSEEN_PRODUCTS
    ]
    unseen = held_out.as_set([render(seed) for seed in unseen_seeds[:128]])
    sets = (
        ("products in scenes", seen_products, 0.95),
        ("plain product photos", held_out.pictures(128, photos=True), 0.95),
        ("kinds of product it never saw", unseen, 0.85),
    )
    figures = []
    for name, pictures, mark in sets:
        scores = segmenter.overlaps(model, pictures, count=192)
        figures.append(Figure(f"segmenter IoU, {name}", float(np.mean(scores)), mark, "higher", bootstrap(scores)))
    return figures


def embeddings(context: Context) -> list[Figure]:
    """Retrieval of pictures of the same scene and palette, by the floats and by the binary code."""
    model = WeightsFolder(context.config.paths.weights / "backdrop").read(UVE, "image_encoder_uve")
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
    """The reward heads' areas under the ROC curve on held-out pictures, damage and captions."""
    pipeline = context.pipeline("backdrop")
    scores = reward.held_out_auc(context.config, pipeline.reward, lambda texts: pipeline.encode(texts)[1])
    marks = {"defects": 0.95, "fidelity": None, "aesthetics": 0.92}
    why = "many of its held-out pictures are degraded by little, and a soft scene is like a blurred one"
    return [Figure(f"reward head {name}, AUC", scores[name], mark, "higher", 0.0, why) for name, mark in marks.items()]


def measure(context: Context) -> list[Figure]:
    """The figures of all three."""
    return [*segmenters(context), *embeddings(context), *heads(context)]
