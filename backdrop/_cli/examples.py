"""Examples of each task's command, for `--help` and the docs. Their files are in the folder `examples/`.

The tests run every one; `python -m bench.gallery` draws what they make.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Example:
    """A command and what it is for."""

    text: str
    """One sentence."""
    command: str
    """As typed in a shell; a backslash continues a line."""


EXAMPLES: Mapping[str, tuple[Example, ...]] = {
    "background": (
        Example(
            "Make four variants of a scene, and keep the best two.",
            'backdrop background --product product.png --prompt "a beach at sunset" --variants 4 --top-k 2',
        ),
        Example(
            "Place two products in a wide picture.",
            "backdrop background --product product.png --box 40,90,100,150 --more second.png@180,130,100,110 \\\n"
            '  --prompt "a kitchen worktop" --size 320x256',
        ),
        Example(
            "Take the place from a picture instead of words.",
            "backdrop background --product product.png --scene place.png --scene-strength 0.5 --size 256x256",
        ),
        Example(
            "Follow a palette.",
            'backdrop background --product product.png --prompt "a studio backdrop" --palette 1d3557,a8dadc,f1faee',
        ),
        Example(
            "Make a square and a wide picture from one request.",
            "backdrop background --product product.png --layout 256x256 --layout 16:9 \\\n"
            '  --prompt "a desert at dawn"',
        ),
        Example(
            "Give the scene the look of a picture.",
            'backdrop background --product product.png --prompt "a mountain lake" --style place.png:0.8',
        ),
        Example(
            "Let the product's border take on the colours of the scene.",
            'backdrop background --product product.png --prompt "a desert at dawn" --soft 4 --harmonise 0.6',
        ),
    ),
    "text_to_image": (
        Example(
            "Make a picture from words.",
            'backdrop text-to-image --prompt "a red mug in front of a mountain lake" --size 256x256',
        ),
        Example(
            "Do the same in four steps, on the distilled pipeline.",
            'backdrop text-to-image --prompt "a red mug in front of a mountain lake" --pipeline backdrop-fast',
        ),
    ),
    "erase": (
        Example(
            "Remove the mug and its shadow.",
            "backdrop erase --picture picture.png --mask picture_mask.png",
        ),
    ),
    "fill": (
        Example(
            "Put something new where the mask is white.",
            'backdrop fill --picture place.png --mask place_mask.png --prompt "a blue handbag on a beach at sunset"',
        ),
    ),
    "vary": (
        Example(
            "Make a picture again, near to the one that was sent.",
            'backdrop vary --picture picture.png --strength 0.4 --prompt "a red mug in front of a mountain lake"',
        ),
        Example(
            "Go further from it.",
            'backdrop vary --picture picture.png --strength 0.8 --prompt "a red mug in front of a mountain lake"',
        ),
    ),
    "expand": (
        Example(
            "Continue a square picture to 16:9.",
            'backdrop expand --picture picture.png --aspect-ratio 16:9 --prompt "a mountain lake on a clear day"',
        ),
        Example(
            "Add 128 pixels at the right.",
            'backdrop expand --picture place.png --margins 0,0,128,0 --prompt "a beach at sunset"',
        ),
    ),
    "shadow": (
        Example(
            "Lay a contact shadow under a product that was pasted into a picture.",
            "backdrop shadow --picture pasted.png --mask pasted_mask.png",
        ),
        Example(
            "Let it fall to the left, long and sharp.",
            "backdrop shadow --picture pasted.png --mask pasted_mask.png --kind cast --direction 160 --softness 0.2",
        ),
    ),
    "relight": (
        Example(
            "Let the edge of a pasted product take on the colours of its scene.",
            "backdrop relight --picture pasted.png --mask pasted_mask.png",
        ),
        Example(
            "Give the whole product the scene's light.",
            "backdrop relight --picture pasted.png --mask pasted_mask.png --light 0.8 --band 8",
        ),
    ),
    "upscale": (
        Example(
            "Make a small picture four times as wide and as high.",
            "backdrop upscale --picture small.png --factor 4",
        ),
    ),
}
"""The examples of each task, by its name in the contract."""
