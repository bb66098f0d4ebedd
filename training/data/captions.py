"""Freshly phrased captions for training, and the labels that a caption names as class numbers."""

from __future__ import annotations

import numpy as np

from training.data.words import WORDS
from training.world.captions import alias_prompt, background_prompt, full_caption
from training.world.labels import ACCENTS, COLOURS, DETAILS, PALETTES, PRODUCTS, SCENES, TIMES, WEATHERS, Spec
from training.world.phrases import (
    ACCENT_WORDS,
    CLEAR_SKY_WORDS,
    DETAIL_WORDS,
    PALETTE_WORDS,
    PRODUCT_WORDS,
    SNOWFALL_WORDS,
    TIME_WORDS,
    WEATHER_WORDS,
)
from training.world.places import ALIASES, PLACES

LABELS: dict[str, tuple[str, ...]] = {
    "scene": SCENES,
    "time": TIMES,
    "weather": WEATHERS,
    "palette": PALETTES,
    "accent": ACCENTS,
    "detail": tuple(f"{scene}/{detail}" for scene, details in DETAILS.items() for detail in details),
    "product": PRODUCTS,
    "colour": tuple(COLOURS),
}


def label_ids(spec: Spec) -> list[int]:
    """The labels of a picture as class numbers, in the order of `LABELS`."""
    values = {"detail": f"{spec.scene}/{spec.detail}"}
    return [names.index(values.get(key, getattr(spec, key))) for key, names in LABELS.items()]


def training_caption(spec: Spec, rng: np.random.Generator, unknown: list[str]) -> str:
    """A fresh caption. 30 % have one to three words of `unknown` inserted: such words must not change the picture."""
    kind = (background_prompt, full_caption, alias_prompt)[int(rng.choice(3, p=(0.4, 0.35, 0.25)))]
    text = kind(spec, rng)
    if rng.random() < 0.3:
        words = text.split(" ")
        for _ in range(int(rng.integers(1, 4))):
            words.insert(int(rng.integers(len(words) + 1)), unknown[int(rng.integers(len(unknown)))])
        text = " ".join(words)
    return text


def unknown_words() -> list[str]:
    """Words of the broad list that no caption uses."""
    tables = (
        PLACES, ALIASES, TIME_WORDS, CLEAR_SKY_WORDS, WEATHER_WORDS, {"snow": SNOWFALL_WORDS}, PALETTE_WORDS,
        ACCENT_WORDS, DETAIL_WORDS, PRODUCT_WORDS,
    )  # fmt: skip
    phrases = [phrase for table in tables for options in table.values() for phrase in options]
    used = {word for phrase in [*phrases, *COLOURS] for word in phrase.replace(",", " ").split()}
    return [word for word in WORDS if word not in used]
