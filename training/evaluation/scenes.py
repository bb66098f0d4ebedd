"""Whether the classifier recognises the scene that the prompt names."""

from __future__ import annotations

import logging

import numpy as np

from training.evaluation.context import Context
from training.evaluation.figures import Figure
from training.evaluation.statistics import wilson
from training.judges import classifier
from training.world.labels import SCENES

log = logging.getLogger(__name__)

MARKS = {"backdrop": 0.90, "backdrop-fast": 0.80, "backdrop-dit": None}


def measure(context: Context) -> list[Figure]:
    """The share of recognised scenes of each pipeline, and the classifier's accuracy on rendered pictures."""
    figures = []
    for name, mark in MARKS.items():
        if not context.published(name):
            log.warning("%s is not published, so it is not measured", name)
            continue
        seen = classifier.name(context.judge, context.scenes(name))["scene"]
        right = [guess == prompt.scene for guess, prompt in zip(seen, context.prompts, strict=True)]
        for scene in SCENES:
            hits = [ok for ok, prompt in zip(right, context.prompts, strict=True) if prompt.scene == scene]
            log.info("%s: %-9s %d of %d", name, scene, sum(hits), len(hits))
        share = float(np.mean(right))
        figures.append(Figure(f"asked-for scene recognised, {name}", share, mark, "higher", wilson(share, len(right))))
    for attribute, share in classifier.accuracy(context.judge, context.held).items():
        spread = wilson(share, len(context.held))
        figures.append(Figure(f"the judge on rendered pictures, {attribute}, accuracy", share, None, "higher", spread))
    return figures
