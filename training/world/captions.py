"""Captions and prompts for a picture, phrased in many ways."""

from __future__ import annotations

import numpy as np

from training.world.labels import INDOORS, Spec
from training.world.phrases import (
    ACCENT_WORDS,
    CLEAR_SKY_WORDS,
    DETAIL_WORDS,
    LINKS,
    OPENINGS,
    PALETTE_WORDS,
    PRODUCT_WORDS,
    SNOWFALL_WORDS,
    STYLES,
    TIME_WORDS,
    WEATHER_WORDS,
)
from training.world.places import ALIASES, PLACES


def _pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]


def says(spec: Spec) -> dict[str, bool]:
    """Which attributes a picture shows, so that a caption may name them.

    A palette other than the natural one hides the colour of a backdrop or a nebula.
    """
    accent = spec.scene in ("studio", "space", "kitchen", "lounge") or (
        spec.scene in ("city", "market") and spec.time == "night"
    )
    return {
        "time": spec.scene not in ("studio", "space"),
        "weather": spec.scene not in INDOORS,
        "accent": accent and spec.palette == "natural",
    }


def clear_sky_words(spec: Spec) -> tuple[str, ...]:
    """What people say of the time of a picture that also says that its sky is clear; nothing where it is not."""
    return CLEAR_SKY_WORDS[spec.time] if spec.weather == "clear" and spec.scene not in INDOORS else ()


def time_words(spec: Spec) -> tuple[str, ...]:
    """What people say of the time of a picture; of a clear sky only where there is one."""
    return TIME_WORDS[spec.time] + clear_sky_words(spec)


def weather_words(spec: Spec) -> tuple[str, ...]:
    """What people say of the weather of a picture; rain is snowfall where there is snow."""
    return SNOWFALL_WORDS if (spec.scene, spec.weather) == ("snow", "rain") else WEATHER_WORDS[spec.weather]


def _with_article(spec: Spec, rng: np.random.Generator) -> str:
    product = f"{spec.colour} {_pick(rng, PRODUCT_WORDS[spec.product])}"
    return f"{'an' if product[0] in 'aeiou' else 'a'} {product}"


def _tail(rng: np.random.Generator, spec: Spec) -> str:
    """Time, weather, palette, accent and detail, each with some probability and in random order."""
    seen, parts = says(spec), []
    if seen["accent"] and rng.random() < (0.35 if spec.scene in ("city", "market") else 0.75):
        parts.append(_pick(rng, ACCENT_WORDS[spec.scene]).format(c=spec.accent))
    if seen["time"] and rng.random() < 0.8:
        parts.append(_pick(rng, time_words(spec)))
    # Unusual values are almost always named, so that a prompt without them gives the usual ones.
    if seen["weather"] and rng.random() < (0.25 if spec.weather == "clear" else 0.95):
        parts.append(_pick(rng, weather_words(spec)))
    if rng.random() < (0.25 if spec.palette == "natural" else 0.92):
        parts.append(_pick(rng, PALETTE_WORDS[spec.palette]))
    if rng.random() < 0.45:
        parts.append(_pick(rng, DETAIL_WORDS[spec.scene, spec.detail]))
    rng.shuffle(parts)
    return " ".join(part for part in parts if part)


def background_prompt(spec: Spec, rng: np.random.Generator) -> str:
    """Names the background only, as users do: the product is in the picture they send."""
    if rng.random() < 0.12:
        seen = says(spec)
        return (
            f"{spec.scene} {spec.time}"
            if seen["time"]
            else f"{spec.accent if seen['accent'] else ''} {spec.scene}".strip()
        )
    text = f"{_pick(rng, PLACES[spec.scene])} {_tail(rng, spec)}".strip()
    if rng.random() < 0.15:
        text = text.removeprefix("a ").removeprefix("an ").removeprefix("the ")
    if rng.random() < 0.15:
        text = _pick(rng, ("on ", "in ", "at ")) + text
    return text + _pick(rng, STYLES)


def alias_prompt(spec: Spec, rng: np.random.Generator) -> str:
    """Names the background without the scene's own word, for example "the woods at night"."""
    return f"{_pick(rng, ALIASES[spec.scene])} {_tail(rng, spec)}".strip() + _pick(rng, STYLES)


def product_prompt(spec: Spec, rng: np.random.Generator) -> str:
    """Names the product only, as users do who fill a place in a picture."""
    product = _with_article(spec, rng)
    return product.partition(" ")[2] if rng.random() < 0.3 else product


def full_caption(spec: Spec, rng: np.random.Generator) -> str:
    """Names the product and the background."""
    product = _with_article(spec, rng)
    place = f"{_pick(rng, PLACES[spec.scene])} {_tail(rng, spec)}".strip()
    return f"{_pick(rng, OPENINGS)}{product}{_pick(rng, LINKS)}{place}{_pick(rng, STYLES)}"


def styleless_prompt(spec: Spec, rng: np.random.Generator) -> str:
    """Names the place but no time, weather, palette or colours, which a style picture then decides."""
    place = _pick(rng, PLACES[spec.scene] if rng.random() < 0.6 else ALIASES[spec.scene])
    return place if rng.random() < 0.6 else f"{place} {_pick(rng, DETAIL_WORDS[spec.scene, spec.detail])}".strip()
