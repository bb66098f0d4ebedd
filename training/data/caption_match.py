"""Which text matches which picture, judged by the attributes that the text names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from training.data.shards import spec_of
from training.world.captions import clear_sky_words, says, time_words, weather_words
from training.world.labels import Spec
from training.world.phrases import ACCENT_WORDS, PALETTE_WORDS


def named_attributes(text: str, spec: Spec) -> set[str]:
    """The attributes of `spec` that its text names, without the scene, which every text names."""
    seen = says(spec)
    phrases = {
        "time": (*time_words(spec), f"{spec.scene} {spec.time}") if seen["time"] else (),
        "weather": (*weather_words(spec), *clear_sky_words(spec)) if seen["weather"] else (),
        "palette": PALETTE_WORDS[spec.palette],
        "accent": [words.format(c=spec.accent) for words in ACCENT_WORDS.get(spec.scene, ())] if seen["accent"] else (),
    }
    return {attribute for attribute, options in phrases.items() if any(words and words in text for words in options)}


def matches(row: Mapping[str, Any], text: str, spec: Spec) -> bool:
    """Whether a text written for the picture of `spec` is also true of the background of the picture of `row`."""
    if row["scene"] != spec.scene:
        return False
    named = named_attributes(text, spec)
    # A palette hides which colour a backdrop had.
    if "accent" in named and not says(spec_of(dict(row)))["accent"]:
        return False
    return all(row[attribute] == getattr(spec, attribute) for attribute in named)


def match_table(rows: list[dict[str, Any]], texts: list[str], specs: list[Spec]) -> Tensor:
    """1 where a text (column) matches a picture (row), else 0: [pictures, texts]."""
    return torch.tensor(
        [[matches(row, text, spec) for text, spec in zip(texts, specs, strict=True)] for row in rows]
    ).float()
