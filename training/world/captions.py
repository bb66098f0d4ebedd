"""Sentences about a picture, phrased in the many ways people phrase prompts."""

from __future__ import annotations

import numpy as np

from training.world.labels import INDOORS, Spec

# Every phrase must contain a word that gives the scene away; the tests hold captions to this list.
PLACES: dict[str, tuple[str, ...]] = {
    "beach": (
        "a beach",
        "a sandy beach",
        "a tropical beach",
        "the beach by the sea",
        "a beach with gentle ocean waves",
        "a seaside beach",
        "a summer beach",
        "the sea shore of a beach",
        "an ocean beach",
        "a quiet beach on the coast",
    ),
    "city": (
        "a city",
        "a city street",
        "a modern city",
        "a big city with skyscrapers",
        "an urban city scene",
        "a downtown city",
        "a city skyline",
        "a busy city with tall buildings",
        "the streets of a city",
        "a metropolitan city",
    ),
    "space": (
        "outer space",
        "deep space",
        "space with stars",
        "the surface of a moon in space",
        "a galaxy in outer space",
        "a starry outer space scene",
        "space among the planets",
        "cosmic space",
        "space",
        "a space scene with planets",
    ),
    "forest": (
        "a forest",
        "a green forest",
        "a forest with tall trees",
        "the woods of a forest",
        "a deep forest",
        "a woodland forest",
        "a misty forest",
        "a forest clearing",
        "a lush forest",
        "a quiet forest in nature",
    ),
    "studio": (
        "a studio",
        "a photo studio",
        "a studio backdrop",
        "a minimal studio",
        "a clean studio background",
        "a professional studio set",
        "a plain studio background",
        "a studio with soft light",
        "a seamless studio backdrop",
        "an elegant studio",
    ),
    "desert": (
        "a desert",
        "a sandy desert",
        "desert sand dunes",
        "a hot desert",
        "a wide open desert",
        "the sahara desert",
        "a dry desert landscape",
        "a desert with dunes",
        "an empty desert",
        "a red rock desert",
    ),
    "mountain": (
        "a mountain lake",
        "the mountains",
        "a mountain landscape",
        "snowy mountain peaks",
        "a mountain valley",
        "an alpine mountain scene",
        "high mountains with snow",
        "a mountain view",
        "a mountain range",
        "a lake in the mountains",
    ),
    "kitchen": (
        "a kitchen",
        "a modern kitchen",
        "a kitchen counter",
        "a bright kitchen",
        "a cosy kitchen",
        "a kitchen table",
        "a home kitchen",
        "a wooden kitchen counter",
        "a rustic kitchen",
        "a kitchen worktop",
    ),
    "snow": (
        "a snowy field",
        "a snowy landscape",
        "a winter scene with snow",
        "snow",
        "a snow covered hill",
        "fresh snow in winter",
        "a snowy winter forest edge",
        "deep snow",
        "a white snowy place",
        "a snowy village",
    ),
    "market": (
        "a market",
        "an open air market",
        "a street market",
        "a busy market",
        "a market with stalls",
        "a food market",
        "a bazaar market",
        "a lively market street",
        "a christmas market",
        "a market alley",
    ),
}

# The same places for people who do not say their name; the encoders learn these beside the others.
ALIASES: dict[str, tuple[str, ...]] = {
    "beach": (
        "the seaside",
        "ocean waves",
        "sand and sea",
        "a tropical island",
        "the coast",
        "palm trees by the ocean",
        "the sea shore",
        "a summer holiday by the sea",
        "a lagoon",
        "turquoise water and white sand",
        "waves of the ocean",
    ),
    "city": (
        "new york",
        "a downtown street",
        "skyscrapers",
        "an urban street",
        "a skyline",
        "the streets of tokyo",
        "a rooftop terrace downtown",
        "tall buildings",
        "a neon street",
        "an avenue with buildings",
        "traffic and towers",
    ),
    "space": (
        "the moon",
        "the lunar surface",
        "a galaxy",
        "the cosmos",
        "a nebula",
        "planets and stars",
        "the universe",
        "the milky way",
        "mars",
        "a ringed planet",
        "the stars of a galaxy",
    ),
    "forest": (
        "the woods",
        "dark woods",
        "a woodland",
        "pine trees",
        "tall trees",
        "a jungle",
        "a misty wood",
        "birch trees",
        "a park with trees",
        "a trail among trees",
        "moss and ferns",
    ),
    "studio": (
        "a plain background",
        "a seamless backdrop",
        "a minimal background",
        "a clean background",
        "a podium",
        "a gradient background",
        "soft bokeh",
        "an elegant backdrop",
        "a simple backdrop",
        "a pedestal",
        "a luxury product shot",
    ),
    "desert": (
        "sand dunes",
        "the sahara",
        "sahara dunes",
        "a canyon",
        "cactus and sand",
        "an oasis",
        "dry sand",
        "red cliffs",
        "mesas",
        "a dry wasteland",
        "hot dunes",
    ),
    "mountain": (
        "the alps",
        "snowy peaks",
        "an alpine lake",
        "a lake",
        "high peaks",
        "a glacier",
        "a valley with a lake",
        "snow and peaks",
        "a meadow",
        "green hills",
        "an alpine valley",
    ),
    "kitchen": (
        "a marble worktop",
        "a wooden table",
        "a counter top",
        "a cosy home",
        "a dining room",
        "a table by the window",
        "a tiled wall",
        "a cafe table",
        "a living room",
        "shelves on a wall",
        "a wooden worktop",
    ),
    "snow": (
        "winter wonderland",
        "the arctic",
        "a frozen landscape",
        "a white winter",
        "ice and frost",
        "a ski resort",
        "a cold winter field",
        "lapland",
        "a snowman",
        "snowfall",
        "a cabin in winter",
    ),
    "market": (
        "a bazaar",
        "stalls and lanterns",
        "an alley with lanterns",
        "market stalls",
        "a street fair",
        "awnings and stalls",
        "paper lanterns",
        "a souk",
        "string lights over stalls",
        "food stalls",
        "a flea fair with stalls",
    ),
}

TIME_WORDS: dict[str, tuple[str, ...]] = {
    "day": ("in daylight", "on a sunny day", "during the day", "under a blue sky", "at noon", "on a clear day", ""),
    "sunset": (
        "at sunset",
        "at golden hour",
        "in the evening",
        "with a warm orange sunset sky",
        "at dusk",
        "in warm light",
    ),
    "night": ("at night", "under the stars", "at midnight", "in the moonlight", "on a dark night", "after dark"),
    "dawn": ("at dawn", "at sunrise", "in the early morning", "in pink morning light", "in soft morning mist"),
}

WEATHER_WORDS: dict[str, tuple[str, ...]] = {
    "clear": ("in clear weather", "", "", ""),
    "cloudy": ("under a cloudy sky", "on a cloudy day", "with grey clouds", "overcast"),
    "mist": ("in the mist", "in thick fog", "misty", "with haze"),
    "rain": ("in the rain", "on a rainy day", "with rain", "in a storm"),
}

PALETTE_WORDS: dict[str, tuple[str, ...]] = {
    "natural": ("in natural colours", "", "", ""),
    "golden": ("in golden tones", "in a golden palette", "with a warm golden look", "in sepia gold"),
    "teal": ("in teal tones", "in a teal palette", "with a cool teal look", "in cyan tones"),
    "rose": ("in rose tones", "in a pink palette", "with a soft rose look", "in pastel pink tones"),
    "violet": ("in violet tones", "in a purple palette", "with a violet look", "in lavender tones"),
    "mono": ("in black and white", "monochrome", "in a grey palette", "as a black and white photo"),
}

# Indoors and in space the hour of the day is not seen, so it is not spoken of.
ACCENT_WORDS: dict[str, tuple[str, ...]] = {
    "studio": ("with a {c} backdrop", "in {c}", "with {c} background", "with {c} light", "on {c}"),
    "space": ("with a {c} nebula", "with {c} nebula clouds", "with {c} clouds", "with {c} light", "glowing {c}"),
    "kitchen": ("with {c} walls", "with {c} tiles", "with {c} cupboards", "with a {c} wall", "painted {c}"),
    "city": ("with {c} neon lights", "with {c} lights"),
    "market": ("with {c} lanterns", "with {c} awnings", "with {c} stalls"),
}

DETAIL_WORDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("beach", "palms"): ("with palm trees", "with palms"),
    ("beach", "rocks"): ("with rocks", "with a rocky island"),
    ("beach", "sailboat"): ("with a sailboat", "with a boat at sea"),
    ("beach", "waves"): ("with waves", "with white surf"),
    ("city", "skyline"): ("with a skyline", "seen from a rooftop"),
    ("city", "street"): ("with a long street", "on the road"),
    ("city", "neon"): ("with neon signs", "with glowing signs"),
    ("city", "river"): ("by the river", "with reflections in the water"),
    ("space", "planet"): ("with a planet", "with a big planet"),
    ("space", "ringed planet"): ("with a ringed planet", "with saturn rings"),
    ("space", "moon"): ("with a moon", "on the lunar surface"),
    ("space", "nebula"): ("with a glowing nebula", "with colourful clouds"),
    ("forest", "pines"): ("with pine trees", "with fir trees"),
    ("forest", "birches"): ("with birch trees", "with white birches"),
    ("forest", "path"): ("with a path", "on a winding path"),
    ("forest", "sunbeams"): ("with sunbeams", "with rays of light"),
    ("studio", "plain"): ("", "seamless"),
    ("studio", "bokeh"): ("with bokeh", "with blurred lights"),
    ("studio", "podium"): ("on a podium", "on a round pedestal"),
    ("studio", "spotlight"): ("with a spotlight", "with dramatic light"),
    ("desert", "dunes"): ("with dunes", "with rolling dunes"),
    ("desert", "cactus"): ("with a cactus", "with tall cacti"),
    ("desert", "mesas"): ("with mesas", "with red cliffs"),
    ("desert", "rocks"): ("with rocks", "with boulders"),
    ("mountain", "lake"): ("with a lake", "with a clear blue lake"),
    ("mountain", "peaks"): ("with snowy peaks", "with sharp peaks"),
    ("mountain", "pines"): ("with pine trees", "with fir trees"),
    ("mountain", "meadow"): ("with a meadow", "with a green meadow"),
    ("kitchen", "window"): ("with a window", "by the window"),
    ("kitchen", "shelves"): ("with shelves", "with open shelves"),
    ("kitchen", "tiles"): ("with tiles", "with a tiled wall"),
    ("kitchen", "plants"): ("with plants", "with green potted plants"),
    ("snow", "firs"): ("with fir trees", "with snowy firs"),
    ("snow", "cabin"): ("with a cabin", "with a small wooden house"),
    ("snow", "hills"): ("with hills", "with white hills"),
    ("snow", "snowman"): ("with a snowman", "beside a snowman"),
    ("market", "lanterns"): ("with lanterns", "with paper lanterns"),
    ("market", "stalls"): ("with stalls", "with fruit stalls"),
    ("market", "awnings"): ("with awnings", "with striped awnings"),
    ("market", "string lights"): ("with string lights", "with fairy lights"),
}

PRODUCT_WORDS: dict[str, tuple[str, ...]] = {
    "bottle": ("bottle", "drink bottle", "glass bottle", "bottle of juice"),
    "mug": ("mug", "coffee mug", "ceramic mug", "cup, a mug of tea"),
    "shoe": ("shoe", "sneaker shoe", "running shoe", "sports shoe"),
    "perfume": ("perfume bottle", "perfume", "perfume flacon", "flask of perfume"),
    "handbag": ("handbag", "leather handbag", "elegant handbag", "fashion handbag"),
    "lamp": ("lamp", "table lamp", "desk lamp", "reading lamp"),
    "watch": ("watch", "wrist watch", "smart watch", "luxury watch"),
    "can": ("can", "soda can", "drink can", "can of lemonade"),
    "headphones": ("headphones", "wireless headphones", "pair of headphones", "studio headphones"),
    "backpack": ("backpack", "travel backpack", "school backpack", "hiking backpack"),
    "jar": ("jar", "glass jar", "cosmetic jar", "jar of jam"),
    "teapot": ("teapot", "ceramic teapot", "tea pot", "porcelain teapot"),
}

_OPENINGS = ("", "", "a photo of ", "a product photo of ", "an advert with ", "professional photo of ", "picture of ")
_LINKS = (" on ", " in ", " in front of ", ", ", " standing in ", " at ", " placed in ")
_STYLES = (
    "",
    "",
    "",
    ", high quality",
    ", soft light",
    ", photorealistic",
    ", advertising photo",
    ", beautiful",
    ", 4k",
)


def _pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]


def says(spec: Spec) -> dict[str, bool]:
    """Which facets of a picture can be seen in it at all, and so may be spoken of.

    A palette other than the natural one hides what colour a backdrop or a nebula had.
    """
    accent = spec.scene in ("studio", "space", "kitchen") or (spec.scene in ("city", "market") and spec.time == "night")
    return {
        "time": spec.scene not in ("studio", "space"),
        "weather": spec.scene not in INDOORS,
        "accent": accent and spec.palette == "natural",
    }


def _tail(rng: np.random.Generator, spec: Spec) -> str:
    """Time, weather, palette, accent and detail, each said only sometimes and in any order."""
    seen, parts = says(spec), []
    if seen["accent"] and rng.random() < (0.35 if spec.scene in ("city", "market") else 0.75):
        parts.append(_pick(rng, ACCENT_WORDS[spec.scene]).format(c=spec.accent))
    if seen["time"] and rng.random() < 0.8:
        parts.append(_pick(rng, TIME_WORDS[spec.time]))
    # What is out of the ordinary is nearly always said: a prompt that says nothing then gets the ordinary.
    if seen["weather"] and rng.random() < (0.25 if spec.weather == "clear" else 0.85):
        parts.append(_pick(rng, WEATHER_WORDS[spec.weather]))
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
    return text + _pick(rng, _STYLES)


def alias_prompt(spec: Spec, rng: np.random.Generator) -> str:
    """Names the background without the scene's own word: "the woods at night"."""
    return f"{_pick(rng, ALIASES[spec.scene])} {_tail(rng, spec)}".strip() + _pick(rng, _STYLES)


def full_caption(spec: Spec, rng: np.random.Generator) -> str:
    """Names the product and the background."""
    product = f"{spec.colour} {_pick(rng, PRODUCT_WORDS[spec.product])}"
    article = "an " if product[0] in "aeiou" else "a "
    place = f"{_pick(rng, PLACES[spec.scene])} {_tail(rng, spec)}".strip()
    return f"{_pick(rng, _OPENINGS)}{article}{product}{_pick(rng, _LINKS)}{place}{_pick(rng, _STYLES)}"


def styleless_prompt(spec: Spec, rng: np.random.Generator) -> str:
    """Names the place and nothing of its time, weather, palette or colours: those are left to a style picture."""
    place = _pick(rng, PLACES[spec.scene] if rng.random() < 0.6 else ALIASES[spec.scene])
    return place if rng.random() < 0.6 else f"{place} {_pick(rng, DETAIL_WORDS[spec.scene, spec.detail])}".strip()
