"""Controlled damage to good pictures: what the reward model learns defects and poor looks from."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

DEFECTS = ("seam", "grown", "cut", "broken", "smear", "ghost")
DEGRADATIONS = ("blur", "noise", "flat", "cast", "blocks", "burnt")


def _blur(x: Tensor, factor: int) -> Tensor:
    return functional.interpolate(functional.avg_pool2d(x, factor), scale_factor=float(factor), mode="bilinear")


def _patch(rng: np.random.Generator, mask: Tensor, near_border: bool) -> Tensor:
    """A soft spot [1, 1, H, W]; on the product's border where asked for."""
    height, width = mask.shape[-2:]
    rows, columns = torch.arange(height)[:, None], torch.arange(width)[None, :]
    if near_border:
        border = ((mask[0, 0] > 0.2) & (functional.max_pool2d(1 - mask, 5, 1, 2)[0, 0] > 0.5)).nonzero()
        cy, cx = border[int(rng.integers(len(border)))].tolist() if len(border) else (height // 2, width // 2)
    else:
        cy, cx = int(rng.integers(height)), int(rng.integers(width))
    ry, rx = rng.uniform(0.05, 0.16) * height, rng.uniform(0.05, 0.16) * width
    return torch.exp(-(((rows - cy) / ry) ** 2) - ((columns - cx) / rx) ** 2)[None, None].float().clamp(0, 1)


def add_defect(kind: str, image: Tensor, mask: Tensor, rng: np.random.Generator) -> Tensor:
    """Damages one picture [1, 3, H, W] the way in-painting goes wrong; `mask` [1, 1, H, W] is 1 on the background."""
    product = 1 - mask
    if kind == "seam":
        # The made part does not meet the kept part: a step in tone along the border.
        shift = torch.from_numpy(rng.uniform(-0.5, 0.5, (1, 3, 1, 1)).astype(np.float32))
        near = _blur(functional.max_pool2d(product, 9, 1, 4), 4) * mask
        return (image + (shift + 0.15 * shift.sign()) * near).clamp(-1, 1)
    if kind == "grown":
        # The product is continued into the background: its border colours are dragged outwards.
        dy, dx = int(rng.integers(-14, 15)), int(rng.choice((-1, 1))) * int(rng.integers(8, 22))
        moved, shape = torch.roll(image, (dy, dx), (2, 3)), torch.roll(product, (dy, dx), (2, 3))
        return image * (1 - shape * mask) + moved * shape * mask
    if kind == "cut":
        # Background eats into the product.
        spot = (_patch(rng, mask, True) > 0.35).float()
        other = torch.roll(image, int(image.shape[-1] * rng.uniform(0.3, 0.6)), 3)
        return image * (1 - spot * product) + other * spot * product
    if kind == "broken":
        # The anti-aliased outline is lost: hard, stepped edges with a halo.
        rough = functional.interpolate(functional.avg_pool2d(product, 8), scale_factor=8.0, mode="nearest")
        halo = ((rough > 0.3).float() - (product > 0.5).float()).abs()
        tone = torch.from_numpy(rng.uniform(-1, 1, (1, 3, 1, 1)).astype(np.float32))
        return image * (1 - halo) + (0.3 * image + 0.7 * tone) * halo
    if kind == "smear":
        spot = (_patch(rng, mask, bool(rng.random() < 0.5)) * 1.8).clamp(0, 1)
        return image * (1 - spot) + _blur(image, 16) * spot
    # A ghost: a faint second product in the background.
    aside = int(rng.choice((-1, 1))) * int(image.shape[-1] * rng.uniform(0.2, 0.4))
    moved, shape = torch.roll(image, aside, 3), torch.roll(product, aside, 3) * mask * float(rng.uniform(0.4, 0.9))
    return image * (1 - shape) + moved * shape


def degrade(kind: str, image: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    """Makes a whole picture [1, 3, H, W] look worse by `strength` in [0, 1]."""
    if kind == "blur":
        soft = _blur(image, 8) if strength > 0.5 else _blur(image, 4)
        return image + (soft - image) * (0.4 + 0.6 * strength)
    if kind == "noise":
        return (image + (0.08 + 0.40 * strength) * torch.randn_like(image)).clamp(-1, 1)
    if kind == "flat":
        mean = image.mean((2, 3), keepdim=True).mean(1, keepdim=True)
        return mean + (image - mean) * (0.75 - 0.6 * strength)
    if kind == "cast":
        tone = rng.uniform(-1, 1, (1, 3, 1, 1)).astype(np.float32)
        return (image + torch.from_numpy(tone - tone.mean()) * (0.25 + 0.6 * strength)).clamp(-1, 1)
    if kind == "blocks":
        block = 16 if strength > 0.5 else 8
        coarse = functional.interpolate(functional.avg_pool2d(image, block), scale_factor=float(block), mode="nearest")
        return image + (coarse - image) * (0.35 + 0.5 * strength)
    gain = 1.5 + 1.5 * strength
    return ((image + (0.3 if rng.random() < 0.5 else -0.3)) * gain).clamp(-1, 1)
