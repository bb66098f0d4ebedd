"""Whether pictures take palette and time of day from a style picture when the prompt does not name them."""

from __future__ import annotations

import logging

import numpy as np
import torch
from torch import Tensor

from training.data.pictures import pictures_to_tensor
from training.evaluation import generation, held_out
from training.evaluation.context import Context
from training.evaluation.figures import Figure
from training.evaluation.statistics import bootstrap, permutation_p
from training.judges import classifier
from training.world.captions import says, styleless_prompt
from training.world.labels import PALETTES, TIMES, Spec, draw_spec
from training.world.picture import render

log = logging.getLogger(__name__)

ENCODERS = {"both encoders": ("uve", "clip"), "UVE alone": ("uve",), "CLIP alone": ("clip",)}


def style_specs(count: int) -> list[Spec]:
    """Specs of held-out style pictures: all palettes and times in turn, in scenes that show the time."""
    specs: list[Spec] = []
    seed = held_out.STYLE_SEED
    while len(specs) < count:
        spec = draw_spec(seed)
        seed += 1
        n = len(specs)
        if spec.palette == PALETTES[n % 6] and spec.time == TIMES[n // 6 % 4] and says(spec)["time"]:
            specs.append(spec)
    return specs


def measure(context: Context) -> list[Figure]:
    """The share of pictures with the style picture's palette and time, by both encoders and by each alone."""
    pipeline = context.pipeline("backdrop")
    assert pipeline.images is not None
    expected = style_specs(context.count)
    shown = pictures_to_tensor(np.stack([render(spec.seed, spec=spec).image for spec in expected]))
    texts = texts_for(context.count)
    hits: dict[str, list[float]] = {}
    for name, use in ENCODERS.items():
        with torch.no_grad():
            tokens: list[Tensor] = [pipeline.images.tokens([(picture, 1.0)], use) for picture in shown]
        pictures = generation.generate(pipeline, context.products, texts, f"style, {name}", styles=tokens)
        hits[name] = taken_over(classifier.name(context.judge, pictures), expected, name)
    plain = generation.generate(pipeline, context.products, texts, "no style")
    hits["no style picture"] = taken_over(classifier.name(context.judge, plain), expected, "no style picture")
    rows = [
        Figure(f"palette and time taken over, {name}", float(np.mean(values)), mark, "higher", bootstrap(values))
        for (name, values), mark in zip(hits.items(), (0.80, None, None, None), strict=True)
    ]
    ahead = [a - b for a, b in zip(hits["UVE alone"], hits["CLIP alone"], strict=True)]
    log.info("UVE alone above CLIP alone: p %.4f", permutation_p(ahead))
    return [
        *rows,
        Figure("UVE alone minus CLIP alone, palette and time", float(np.mean(ahead)), 0.0, "higher", bootstrap(ahead)),
    ]


def texts_for(count: int) -> list[str]:
    """Prompts that name a place but no time, weather or palette, in scenes that show the time."""
    specs = held_out.specs(count, held_out.PROMPT_SEED + 500_000, lambda spec: says(spec)["time"])
    return [styleless_prompt(spec, np.random.default_rng(spec.seed)) for spec in specs]


def taken_over(seen: dict[str, list[str]], expected: list[Spec], name: str) -> list[float]:
    """Points per picture: half a point for the palette and half for the time."""
    palettes = [a == spec.palette for a, spec in zip(seen["palette"], expected, strict=True)]
    times = [a == spec.time for a, spec in zip(seen["time"], expected, strict=True)]
    log.info("%s: palette %.3f time %.3f", name, np.mean(palettes), np.mean(times))
    return [(a + b) / 2 for a, b in zip(palettes, times, strict=True)]
