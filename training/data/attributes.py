"""What can be named about a picture, as class numbers; what cannot be seen in it is left out of loss and marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from training.encoders.text_encoders import spec_of
from training.world.captions import says
from training.world.labels import PALETTES, PRODUCTS, SCENES, TIMES, WEATHERS

FACETS: dict[str, tuple[str, ...]] = {
    "scene": SCENES,
    "palette": PALETTES,
    "time": TIMES,
    "weather": WEATHERS,
    "product": PRODUCTS,
}
UNSEEN = -100
"""The class number of a facet that the picture does not show; `cross_entropy` leaves it out."""


def facet_ids(rows: Sequence[Mapping[str, Any]]) -> Tensor:
    """Class numbers [N, facets] of shards' rows, in the order of `FACETS`."""
    ids = []
    for row in rows:
        seen = says(spec_of(dict(row)))
        ids.append([names.index(row[key]) if seen.get(key, True) else UNSEEN for key, names in FACETS.items()])
    return torch.tensor(ids)


def naming_loss(logits: Sequence[Tensor], ids: Tensor, weights: Sequence[float]) -> Tensor:
    """Weighted cross-entropy of one head's logits [B, classes] a facet against `ids` [B, facets]."""
    total = logits[0].new_zeros(())
    for n, (out, weight) in enumerate(zip(logits, weights, strict=True)):
        if bool((ids[:, n] != UNSEEN).any()):
            total = total + weight * functional.cross_entropy(out.float(), ids[:, n], ignore_index=UNSEEN)
    return total


def accuracies(logits: Sequence[Tensor], ids: Tensor) -> dict[str, float]:
    """Share of pictures named rightly, by facet, where the facet can be seen."""
    scores = {}
    for n, (key, out) in enumerate(zip(FACETS, logits, strict=True)):
        seen = ids[:, n] != UNSEEN
        scores[key] = float((out.argmax(1) == ids[:, n])[seen].float().mean()) if bool(seen.any()) else float("nan")
    return scores
