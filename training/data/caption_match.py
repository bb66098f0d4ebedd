"""Which text fits which picture: by what a text says, and not by what it might have said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from training.encoders.text_encoders import spec_of
from training.world.captions import says
from training.world.labels import Spec
from training.world.phrases import ACCENT_WORDS, PALETTE_WORDS, TIME_WORDS, WEATHER_WORDS


def said(text: str, spec: Spec) -> set[str]:
    """The facets of `spec` that a text written for it names, beside the scene, which every text names."""
    seen = says(spec)
    phrases = {
        "time": (*TIME_WORDS[spec.time], f"{spec.scene} {spec.time}") if seen["time"] else (),
        "weather": WEATHER_WORDS[spec.weather] if seen["weather"] else (),
        "palette": PALETTE_WORDS[spec.palette],
        "accent": [words.format(c=spec.accent) for words in ACCENT_WORDS.get(spec.scene, ())] if seen["accent"] else (),
    }
    return {facet for facet, options in phrases.items() if any(words and words in text for words in options)}


def fits(row: Mapping[str, Any], text: str, spec: Spec) -> bool:
    """Whether a text written for the picture of `spec` is true of the background of the picture of `row` as well."""
    if row["scene"] != spec.scene:
        return False
    named = said(text, spec)
    # Under a palette nobody sees which colour a backdrop had.
    if "accent" in named and not says(spec_of(dict(row)))["accent"]:
        return False
    return all(row[facet] == getattr(spec, facet) for facet in named)


def fitting(rows: list[dict[str, Any]], texts: list[str], specs: list[Spec]) -> Tensor:
    """1 where a text [column] fits a picture [row], else 0: [pictures, texts]."""
    return torch.tensor(
        [[fits(row, text, spec) for text, spec in zip(texts, specs, strict=True)] for row in rows]
    ).float()
