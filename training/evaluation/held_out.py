"""Held-out products, prompts and pictures, rendered in memory, so that measuring needs no shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from training.config import HELD_OUT_SEED
from training.data.caption_match import named_attributes
from training.data.pictures import pictures_to_tensor, product_masks
from training.data.shards import PHOTO_SEED, PictureSet
from training.world.captions import background_prompt
from training.world.labels import SCENES, Spec, draw_spec
from training.world.picture import Picture, plain_photo, render

PROMPT_SEED = HELD_OUT_SEED + 2_000_000
STYLE_SEED = HELD_OUT_SEED + 3_000_000


@dataclass(frozen=True)
class Products:
    """Product pictures [N, 3, H, W] in [-1, 1] and their background masks [N, 1, H, W]."""

    image: Tensor
    mask: Tensor

    def __len__(self) -> int:
        return len(self.image)

    def take(self, start: int, count: int) -> Products:
        """`count` products from `start` on; after the last one it continues with the first."""
        pick = torch.arange(start, start + count) % len(self)
        return Products(self.image[pick], self.mask[pick])


def as_set(rendered: list[Picture]) -> PictureSet:
    """Rendered pictures as the set that a shard would give."""
    rows = [{"caption": p.caption, "background": p.background, **asdict(p.spec)} for p in rendered]
    return PictureSet([np.stack([p.image for p in rendered])], [np.stack([p.product_mask for p in rendered])], rows)


def pictures(count: int, photos: bool = False) -> PictureSet:
    """Held-out scenes, or plain photos."""
    draw: Callable[[int], Picture] = plain_photo if photos else render
    first = HELD_OUT_SEED + (PHOTO_SEED if photos else 0)
    return as_set([draw(seed) for seed in range(first, first + count)])


def products(held: PictureSet) -> Products:
    """The products of pictures. The pictures still contain their rendered scenes; the mask selects the product."""
    images, masks = held.at(np.arange(len(held)))
    return Products(pictures_to_tensor(images), product_masks(masks))


@dataclass(frozen=True)
class Prompt:
    """A prompt and what it names."""

    text: str
    named: dict[str, str]
    """The attributes that the text names, the scene among them, with their values."""

    @property
    def scene(self) -> str:
        """The scene that it names."""
        return self.named["scene"]


def prompts(count: int) -> list[Prompt]:
    """Background prompts over all scenes in turn, phrased by held-out seeds."""
    return [_prompt(spec) for spec in specs(count)]


def _prompt(spec: Spec) -> Prompt:
    text = background_prompt(spec, np.random.default_rng(spec.seed))
    named = {"scene", *named_attributes(text, spec)}
    return Prompt(text, {attribute: str(getattr(spec, attribute)) for attribute in sorted(named)})


def specs(count: int, first: int = PROMPT_SEED, suits: Callable[[Spec], bool] = lambda _: True) -> list[Spec]:
    """Held-out specs that satisfy `suits`, over all scenes in turn."""
    suitable_scenes = [scene for scene in SCENES if any(suits(spec) for spec in _of(scene, first, 400))]
    streams = {scene: (spec for spec in _of(scene, first, 10**6) if suits(spec)) for scene in suitable_scenes}
    return [next(streams[suitable_scenes[n % len(suitable_scenes)]]) for n in range(count)]


def _of(scene: str, first: int, count: int) -> Iterator[Spec]:
    return (spec for spec in map(draw_spec, range(first, first + count)) if spec.scene == scene)
