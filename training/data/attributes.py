"""Attributes of a picture as class numbers; losses and accuracies leave out what the picture does not show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from training.data.shards import spec_of
from training.world.captions import says
from training.world.labels import PALETTES, PRODUCTS, SCENES, TIMES, WEATHERS

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "scene": SCENES,
    "palette": PALETTES,
    "time": TIMES,
    "weather": WEATHERS,
    "product": PRODUCTS,
}
NOT_VISIBLE = -100
"""The class number of an attribute that the picture does not show; `cross_entropy` leaves it out."""


def attribute_ids(rows: Sequence[Mapping[str, Any]]) -> Tensor:
    """Class numbers [N, attributes] of shards' rows, in the order of `ATTRIBUTES`."""
    ids = []
    for row in rows:
        seen = says(spec_of(dict(row)))
        ids.append([names.index(row[key]) if seen.get(key, True) else NOT_VISIBLE for key, names in ATTRIBUTES.items()])
    return torch.tensor(ids)


def naming_loss(logits: Sequence[Tensor], ids: Tensor, weights: Sequence[float]) -> Tensor:
    """Weighted cross-entropy of the logits [B, classes] of each attribute against `ids` [B, attributes]."""
    total = logits[0].new_zeros(())
    for n, (out, weight) in enumerate(zip(logits, weights, strict=True)):
        if bool((ids[:, n] != NOT_VISIBLE).any()):
            total = total + weight * functional.cross_entropy(out.float(), ids[:, n], ignore_index=NOT_VISIBLE)
    return total


def accuracies(logits: Sequence[Tensor], ids: Tensor) -> dict[str, float]:
    """Share of correctly classified pictures by attribute, over the pictures that show the attribute."""
    scores = {}
    for n, (key, out) in enumerate(zip(ATTRIBUTES, logits, strict=True)):
        seen = ids[:, n] != NOT_VISIBLE
        scores[key] = float((out.argmax(1) == ids[:, n])[seen].float().mean()) if bool(seen.any()) else float("nan")
    return scores
