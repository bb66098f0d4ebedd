"""Controlled damage to good pictures, from which the reward model learns defects and degradation.

A defect must be visible without comparing with the original: damage that hardly changes a picture is drawn again. Two
kinds of damage are left out. The product is never cut, because its pixels are pasted back exactly. The background is
never smeared, because a smear looks like the soft focus that many rendered backgrounds have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

DEFECTS = ("seam", "grown", "broken", "ghost", "blotch")
DEGRADATIONS = ("blur", "noise", "blocks", "burnt")
"""No colour cast and no low contrast: they cannot be told from a palette and from mist, which a prompt may ask for."""
VISIBLE = 0.16
"""Mean change of a 4x4 block, in [-1, 1], from which on it is visible: several times the autoencoder's error."""
VISIBLE_BLOCKS = 14
"""How many visibly changed blocks make a defect, of the 4096 of a 256-pixel picture."""


def _blur(x: Tensor, factor: int) -> Tensor:
    return functional.interpolate(functional.avg_pool2d(x, factor), scale_factor=float(factor), mode="bilinear")


def _patch(rng: np.random.Generator, mask: Tensor, near_border: bool) -> Tensor:
    """A soft spot [1, 1, H, W]; on the product's border if `near_border`."""
    height, width = mask.shape[-2:]
    rows, columns = torch.arange(height)[:, None], torch.arange(width)[None, :]
    if near_border:
        border = ((mask[0, 0] > 0.2) & (functional.max_pool2d(1 - mask, 5, 1, 2)[0, 0] > 0.5)).nonzero()
        cy, cx = border[int(rng.integers(len(border)))].tolist() if len(border) else (height // 2, width // 2)
    else:
        cy, cx = int(rng.integers(height)), int(rng.integers(width))
    ry, rx = rng.uniform(0.06, 0.16) * height, rng.uniform(0.06, 0.16) * width
    return torch.exp(-(((rows - cy) / ry) ** 2) - ((columns - cx) / rx) ** 2)[None, None].float().clamp(0, 1)


def _tone(rng: np.random.Generator, low: float, high: float) -> Tensor:
    """A shift in tone [1, 3, 1, 1], towards light or dark, of at least `low` in every channel."""
    sign = 1.0 if rng.random() < 0.5 else -1.0
    return torch.from_numpy((sign * rng.uniform(low, high, (1, 3, 1, 1))).astype(np.float32))


def add_defect(kind: str, image: Tensor, mask: Tensor, rng: np.random.Generator) -> Tensor:
    """One picture [1, 3, H, W] with a typical inpainting defect; `mask` [1, 1, H, W] is 1 on the background."""
    product = 1 - mask
    if kind == "seam":
        # A step in tone along the product's border.
        reach = int(rng.choice((7, 9, 13)))
        near = _blur(functional.max_pool2d(product, reach, 1, reach // 2), 4) * mask
        return (image + _tone(rng, 0.3, 0.8) * near).clamp(-1, 1)
    if kind == "grown":
        # The product continues into the background.
        dy, dx = int(rng.integers(-16, 17)), int(rng.choice((-1, 1))) * int(rng.integers(10, 28))
        moved, shape = torch.roll(image, (dy, dx), (2, 3)), torch.roll(product, (dy, dx), (2, 3))
        return image * (1 - shape * mask) + moved * shape * mask
    if kind == "broken":
        # The outline is not anti-aliased: hard, stepped edges with a halo.
        block = int(rng.choice((4, 8)))
        coarse = functional.interpolate(functional.avg_pool2d(product, block), scale_factor=float(block))
        halo = ((coarse > 0.3).float() - (product > 0.5).float()).abs()
        tone = torch.from_numpy(rng.uniform(-1, 1, (1, 3, 1, 1)).astype(np.float32))
        return image * (1 - halo) + (0.2 * image + 0.8 * tone) * halo
    if kind == "blotch":
        # A spot of coloured noise, or of one flat tone that does not fit its surroundings.
        spot = (_patch(rng, mask, bool(rng.random() < 0.5)) * 2.5 - 0.5).clamp(0, 1) * mask
        seed = torch.Generator().manual_seed(int(rng.integers(2**31)))
        grain = int(rng.choice((1, 4, 8)))
        rough = torch.randn((1, 3, image.shape[-2] // grain, image.shape[-1] // grain), generator=seed)
        noise = functional.interpolate(rough, scale_factor=float(grain), mode="nearest")
        painted = image + 0.5 * noise if rng.random() < 0.5 else image + _tone(rng, 0.4, 1.0)
        return (image * (1 - spot) + painted * spot).clamp(-1, 1)
    # A ghost: a second product in the background.
    aside = int(rng.choice((-1, 1))) * int(image.shape[-1] * rng.uniform(0.2, 0.4))
    moved, shape = torch.roll(image, aside, 3), torch.roll(product, aside, 3) * mask * float(rng.uniform(0.55, 1.0))
    return image * (1 - shape) + moved * shape


def visible(damaged: Tensor, image: Tensor) -> bool:
    """Whether the damage is large enough for a person to see it in pictures [1, 3, H, W]."""
    change = functional.avg_pool2d((damaged - image).abs().mean(1, keepdim=True), 4)
    return int((change > VISIBLE).sum()) >= VISIBLE_BLOCKS


@dataclass(frozen=True)
class Damaged:
    """A picture [1, 3, H, W] with a defect of a kind of `DEFECTS`."""

    image: Tensor
    kind: str


def damage(image: Tensor, mask: Tensor, rng: np.random.Generator, tries: int = 8) -> Damaged | None:
    """One picture [1, 3, H, W] with a random visible defect; None if none of `tries` defects was visible."""
    for _ in range(tries):
        kind = DEFECTS[int(rng.integers(len(DEFECTS)))]
        damaged = add_defect(kind, image, mask, rng)
        if visible(damaged, image):
            return Damaged(damaged, kind)
    return None


def degrade(kind: str, image: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    """Degrades a whole picture [1, 3, H, W] by `strength` in [0, 1]."""
    if kind == "blur":
        soft = _blur(image, 8) if strength > 0.5 else _blur(image, 4)
        return image + (soft - image) * (0.4 + 0.6 * strength)
    if kind == "noise":
        return (image + (0.08 + 0.40 * strength) * torch.randn_like(image)).clamp(-1, 1)
    if kind == "blocks":
        block = 16 if strength > 0.5 else 8
        coarse = functional.interpolate(functional.avg_pool2d(image, block), scale_factor=float(block), mode="nearest")
        return image + (coarse - image) * (0.35 + 0.5 * strength)
    gain = 1.5 + 1.5 * strength
    return ((image + (0.3 if rng.random() < 0.5 else -0.3)) * gain).clamp(-1, 1)
