"""Whether the classifier recognises the scene and the other attributes that the prompt names."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from training.evaluation.context import Context
from training.evaluation.figures import Figure
from training.evaluation.held_out import Prompt
from training.evaluation.statistics import wilson
from training.judges import classifier
from training.world.labels import SCENES

log = logging.getLogger(__name__)

MARKS = {"backdrop": 0.90, "backdrop-fast": 0.80, "backdrop-dit": None}
ATTRIBUTE_MARKS = {"backdrop": 0.90, "backdrop-fast": 0.85, "backdrop-dit": 0.85}
JUDGED = ("scene", "time", "weather", "palette")
"""The attributes whose shares of recognised pictures are averaged."""


def recognised(prompts: Sequence[Prompt], seen: Mapping[str, Sequence[str]]) -> dict[str, list[bool]]:
    """For each judged attribute: of the pictures whose prompt names it, which show what the prompt says.

    Args:
        prompts: one prompt per picture.
        seen: by attribute, what the classifier sees in each picture.
    """
    return {
        attribute: [
            guess == prompt.named[attribute]
            for guess, prompt in zip(seen[attribute], prompts, strict=True)
            if attribute in prompt.named
        ]
        for attribute in JUDGED
    }


def attributes(name: str, right: Mapping[str, Sequence[bool]]) -> list[Figure]:
    """The mean share of recognised attributes of the pipeline `name`, and each attribute's share."""
    shares = {attribute: float(np.mean(hits)) for attribute, hits in right.items()}
    halves = [wilson(shares[attribute], len(hits)) for attribute, hits in right.items()]
    spread = float(np.sqrt(np.sum(np.square(halves)))) / len(halves)
    mean, mark = float(np.mean(list(shares.values()))), ATTRIBUTE_MARKS[name]
    title = f"attributes of the prompt recognised, {name}"
    worst = min(shares, key=lambda attribute: shares[attribute])
    why = f"{worst} is recognised in {shares[worst]:.2f} of the {len(right[worst])} pictures whose prompt names it"
    rows = [Figure(f"{title}, mean of {', '.join(JUDGED)}", mean, mark, "higher", spread, why)]
    for (attribute, share), half in zip(shares.items(), halves, strict=True):
        rows.append(Figure(f"{title}, {attribute}", share, None, "higher", half))
    return rows


def measure(context: Context) -> list[Figure]:
    """The shares of recognised scenes and attributes of each pipeline, and the judge's accuracy on renders."""
    figures: list[Figure] = []
    for name, mark in MARKS.items():
        if not context.published(name):
            log.warning("%s is not published, so it is not measured", name)
            continue
        by_attribute = recognised(context.prompts, classifier.name(context.judge, context.scenes(name)))
        figures += attributes(name, by_attribute)
        right = by_attribute["scene"]
        for scene in SCENES:
            hits = [ok for ok, prompt in zip(right, context.prompts, strict=True) if prompt.scene == scene]
            log.info("%s: %-9s %d of %d", name, scene, sum(hits), len(hits))
        share = float(np.mean(right))
        figures.append(Figure(f"asked-for scene recognised, {name}", share, mark, "higher", wilson(share, len(right))))
    for attribute, share in classifier.accuracy(context.judge, context.held).items():
        spread = wilson(share, len(context.held))
        figures.append(Figure(f"the judge on rendered pictures, {attribute}, accuracy", share, None, "higher", spread))
    return figures
