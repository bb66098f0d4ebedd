"""Text-to-image and vary, through the cluster: what a prompt names, and how far a picture goes from its start."""

from __future__ import annotations

from typing import Any

import numpy as np

import backdrop
from bench.autoencoder import Autoencoder
from bench.field_load import running_cluster
from bench.figures import Figure, at_least, at_most
from bench.scene_products import png
from bench.task_judges import SHORT_TRAINING, SIDE, Bytes, Judges, held
from training.config import HELD_OUT_SEED
from training.evaluation.statistics import wilson
from training.world.captions import full_caption
from training.world.labels import draw_spec

COUNT, VARIED = 60, 10
STRENGTHS = (0.2, 0.4, 0.6, 0.8, 1.0)
_PROMPT_SEED = HELD_OUT_SEED + 4_000_000
_OPTIONS: dict[str, Any] = {"pipeline": "backdrop"}


def text_to_image(command: str) -> list[Figure]:
    """Captions that name a scene and a product."""
    judges, scenes, kinds = Judges(), [], []
    with running_cluster() as (endpoint, _, _), backdrop.Client(endpoint, timeout_s=600.0) as client:
        for seed in range(_PROMPT_SEED, _PROMPT_SEED + COUNT):
            spec = draw_spec(seed)
            prompt = full_caption(spec, np.random.default_rng(seed))
            options = {**_OPTIONS, "prompt": prompt, "seed": seed, "output_size": (SIDE, SIDE)}
            picture = np.asarray(client.generate(backdrop.TextToImage(), **options).result().best.image())
            scenes.append(judges.scenes([picture])[0] == spec.scene)
            kinds.append(judges.kind(picture, judges.product_place(picture)) == spec.product)
    figures = []
    for what, right, mark in (("scenes", scenes, at_least(0.9)), ("products", kinds, at_least(0.6, SHORT_TRAINING))):
        share = float(np.mean(right))
        name = f"text-to-image: asked-for {what} recognised"
        spread = f"± {wilson(share, len(right)):.3f}, {len(right)} pictures"
        figures.append(Figure(name, round(share, 3), mark, command, spread))
    return figures


def vary(command: str) -> list[Figure]:
    """Pictures at strength 0, which only the autoencoder changes, and at growing strengths."""
    autoencoder = Autoencoder()
    largest, similarity = 0, np.zeros((VARIED, len(STRENGTHS)))
    with running_cluster() as (endpoint, _, _), backdrop.Client(endpoint, timeout_s=600.0) as client:
        for number, each in enumerate(held(VARIED)):

            def varied(strength: float, each: Any = each) -> Bytes:
                task = backdrop.Vary(png(each.picture), strength)
                options = {**_OPTIONS, "prompt": "", "seed": each.seed}
                return np.asarray(client.generate(task, **options).result().best.image())

            difference = varied(0.0).astype(int) - autoencoder.remade(each.picture)
            largest = max(largest, int(np.abs(difference).max()))
            similarity[number] = [_psnr(varied(strength), each.picture) for strength in STRENGTHS]
    mean = similarity.mean(axis=0)
    reversals = int((np.diff(mean) > 0).sum())
    listed = ", ".join(f"{strength}: {value:.1f} dB" for strength, value in zip(STRENGTHS, mean, strict=True))
    count = f"{VARIED} pictures"
    name = "vary: largest difference at strength 0 from the autoencoder's reconstruction, of 255"
    return [
        Figure(name, largest, at_most(2), command, count),
        Figure("vary: strengths at which the similarity rises", reversals, at_most(0), command, f"{listed}; {count}"),
    ]


def _psnr(one: Bytes, other: Bytes) -> float:
    return float(10 * np.log10(255**2 / np.square(one.astype(np.float64) - other).mean()))
