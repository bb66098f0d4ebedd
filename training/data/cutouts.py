"""Cut-out or invented products pasted into scenes that were rendered without them."""

from __future__ import annotations

import logging

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from training.config import Config
from training.data.array_cache import cached_array
from training.data.invented_products import invented_product
from training.data.pictures import pictures_to_tensor, product_masks
from training.data.shards import PictureSet
from training.world.picture import empty_scene

log = logging.getLogger(__name__)

EMPTY_SEED = 2_000_000
"""First seed of the empty scenes; above the seeds of the training pictures."""


def empty_scenes(config: Config, count: int) -> NDArray[np.uint8]:
    """Scenes without a product, uint8 [N, H, W, 3]; rendered once and saved."""

    def render() -> NDArray[np.uint8]:
        log.info("rendering %d empty scenes", count)
        return np.stack([empty_scene(EMPTY_SEED + n, config.data.size) for n in range(count)])

    return cached_array(config.paths.work / "shards" / f"empty-{count}.npy", render)


def cut_out(image: Tensor, alpha: Tensor) -> Tensor:
    """The products as premultiplied RGBA [B, 4, H, W], from pictures in [0, 1] and alphas [B, 1, H, W].

    On the soft border the old background shows through the product, so the border gets the colours of the nearest
    opaque pixels.
    """
    solid = (alpha > 0.97).to(image.dtype)
    near = functional.avg_pool2d(image * solid, 5, 1, 2) / functional.avg_pool2d(solid, 5, 1, 2).clamp(min=1e-4)
    covered = functional.max_pool2d(solid, 5, 1, 2)
    own = torch.where(covered > 0, near, image)
    return torch.cat([(image * solid + own * (1 - solid)) * alpha, alpha], dim=1)


def place(product: Tensor, rng: np.random.Generator, resample: bool) -> Tensor:
    """A product [1, 4, H, W] randomly mirrored and moved; if `resample`, also scaled and turned."""
    if rng.random() < 0.5:
        product = product.flip(-1)
    rows, columns = (product[0, 3] > 0.5).any(1).nonzero().flatten(), (product[0, 3] > 0.5).any(0).nonzero().flatten()
    if not len(rows):
        return product
    size = product.shape[-1]
    top, bottom, left, right = (int(x) for x in (rows[0], rows[-1], columns[0], columns[-1]))
    if not resample:
        down = int(rng.integers(-min(top, 40), size - bottom))
        aside = int(rng.integers(-left, size - right)) if rng.random() < 0.7 else 0
        return torch.roll(product, (down, aside), (2, 3))
    scale = float(np.exp(rng.uniform(np.log(0.6), np.log(1.5))))
    scale = min(scale, 0.95 * size / max(bottom - top, right - left, 1))
    angle = float(rng.normal(0, 0.08))
    # (cu, cv): new centre of the product, in units of half a picture.
    half_height = (bottom - top) * scale / size
    cu, cv = float(np.clip(rng.normal(0, 0.3), -0.8, 0.8)), float(rng.uniform(0.45, 0.98)) - half_height
    own_u, own_v = (left + right) / size - 1, (top + bottom) / size - 1
    c, s = np.cos(angle) / scale, np.sin(angle) / scale
    theta = torch.tensor([[c, s, own_u - c * cu - s * cv], [-s, c, own_v + s * cu - c * cv]], dtype=torch.float32)
    grid = functional.affine_grid(theta[None], [1, 4, size, size], align_corners=False)
    if scale < 0.8:
        # Bilinear sampling skips pixels below half size; a 2x2 mean first keeps the border right.
        product = functional.avg_pool2d(functional.pad(product, (0, 1, 0, 1)), 2, 1)
    return functional.grid_sample(product, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _shadow(alpha: Tensor, rng: np.random.Generator) -> Tensor:
    """Share of light [H, W] around a standing product: a dark contact line and a shadow that leans to one side."""
    size = alpha.shape[-1]
    rows, columns = (alpha > 0.5).any(1).nonzero().flatten(), (alpha > 0.5).any(0).nonzero().flatten()
    if not len(rows):
        return torch.ones_like(alpha)
    foot, middle = float(rows[-1]) / size, float(columns[0] + columns[-1]) / 2 / size
    wide = max(float(columns[-1] - columns[0]) / 2 / size, 0.02)
    v, u = torch.meshgrid(torch.arange(size) / size, torch.arange(size) / size, indexing="ij")

    def glow(cu: float, cv: float, ru: float, rv: float) -> Tensor:
        return torch.exp(-(((u - cu) / ru) ** 2) - ((v - cv) / rv) ** 2)

    lean, depth = float(rng.uniform(-0.6, 0.6)), float(rng.uniform(0.0, 0.6))
    dark = depth * (
        0.75 * glow(middle, foot - 0.004, wide * 0.8, 0.016)
        + 0.6
        * glow(middle + lean * wide, foot + 0.012, wide * float(rng.uniform(1, 1.4)), float(rng.uniform(0.02, 0.06)))
    )
    return 1 - dark.clamp(0, 0.85)


class Paster:
    """Composes pictures of products on other backgrounds."""

    def __init__(
        self, scenes: NDArray[np.uint8], sources: tuple[PictureSet, ...], allowed: tuple[NDArray[np.int64], ...]
    ) -> None:
        """`allowed` are, for each source, the indices of the pictures whose products may be used."""
        self.scenes, self.sources, self.allowed = scenes, sources, allowed

    def _background(self, rng: np.random.Generator) -> Tensor:
        """A scene, or in a quarter of the cases a plain tone with a soft gradient, [3, H, W] in [0, 1]."""
        scene = self.scenes[int(rng.integers(len(self.scenes)))]
        size = scene.shape[0]
        if rng.random() < 0.25:
            tone = torch.from_numpy(1 - rng.uniform(0, 1, 3) ** 2 * float(rng.uniform(0, 1))).float()[:, None, None]
            fade = torch.linspace(1, float(rng.uniform(0.7, 1.1)), size)[None, :, None]
            return (tone * fade).expand(3, size, size).clamp(0, 1)
        image = torch.from_numpy(scene[:, :: -1 if rng.random() < 0.5 else 1].copy()).permute(2, 0, 1).float() / 255
        if rng.random() < 0.3:
            # A crop of the scene: objects get other sizes, and not all backgrounds have a floor.
            side = int(rng.integers(size // 2, size))
            top, left = int(rng.integers(0, size - side)), int(rng.integers(0, size - side))
            image = functional.interpolate(
                image[None, :, top : top + side, left : left + side], (size, size), mode="bilinear"
            )[0]
        return image

    def _product(self, rng: np.random.Generator) -> Tensor:
        """One placed product as premultiplied RGBA [1, 4, H, W]."""
        if rng.random() < 0.35:
            thing = torch.from_numpy(invented_product(rng, self.scenes.shape[1]))[None]
            return place(torch.cat([thing[:, :3] * thing[:, 3:], thing[:, 3:]], dim=1), rng, resample=False)
        source = int(rng.integers(len(self.sources)))
        index = self.allowed[source][int(rng.integers(len(self.allowed[source])))]
        image, mask = self.sources[source].at(np.array([index]))
        product = cut_out((pictures_to_tensor(image) + 1) / 2, 1 - product_masks(mask))
        if rng.random() < 0.4:
            product = torch.cat([product[:, rng.permutation(3).tolist()], product[:, 3:]], dim=1)
        return place(product, rng, resample=bool(rng.random() < 0.5))

    def batch(self, rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor]:
        """Pictures [B, 3, H, W] in [-1, 1] and the products' alphas [B, 1, H, W]."""
        images, alphas = [], []
        for _ in range(count):
            image, product = self._background(rng)[None], self._product(rng)
            if rng.random() < 0.8:
                image = image * _shadow(product[0, 3], rng)
            images.append(image * (1 - product[:, 3:]) + product[:, :3])
            alphas.append(product[:, 3:])
        return torch.cat(images).clamp(0, 1) * 2 - 1, torch.cat(alphas)
