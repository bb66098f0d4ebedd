"""The local canvas a product is drawn on: its own axes, signed shapes, round shading."""

from __future__ import annotations

import numpy as np

from training.world.canvas import Array
from training.world.sky import Light


class Body:
    """The canvas of one product. x runs -0.5..0.5 across; y is 0 at the foot and 1 at the head; `height` is in pixels.

    `rgb` is not premultiplied; `alpha` is the product's soft outline. `shine` scales every highlight (matte below 1,
    polished above); `metallic` adds the bright and dark bands that round metal mirrors.
    """

    MARGIN = 0.06

    def __init__(self, height: int, aspect: float, light: Light, rng: np.random.Generator) -> None:
        self.height, self.rng, self.light = height, rng, light
        self.shine, self.metallic = 1.0, False
        rows, columns = int(height * (1 + 2 * self.MARGIN)), int(height * (aspect + 2 * self.MARGIN))
        self.y = (1 + self.MARGIN - (np.arange(rows, dtype=np.float32)[:, None] + 0.5) / height).astype(np.float32)
        self.x = ((np.arange(columns, dtype=np.float32)[None, :] + 0.5 - columns / 2) / height).astype(np.float32)
        self.rgb: Array = np.zeros((3, rows, columns), np.float32)
        self.alpha: Array = np.zeros((rows, columns), np.float32)

    def edge(self, distance: Array, softness: float = 1.0) -> Array:
        """Alpha of the inside of a signed distance (negative inside)."""
        return np.clip(0.5 - distance * (self.height / softness), 0, 1).astype(np.float32)

    def box(self, cx: float, cy: float, hx: float | Array, hy: float, radius: float = 0.0) -> Array:
        """Signed distance to a rounded rectangle; `hx` may vary with y, which makes trapezoids."""
        dx = np.abs(self.x - cx) - (hx - radius)
        dy = np.abs(self.y - cy) - (hy - radius)
        outside = np.sqrt(np.maximum(dx, 0) ** 2 + np.maximum(dy, 0) ** 2)
        return np.asarray(outside + np.minimum(np.maximum(dx, dy), 0) - radius, np.float32)

    def ellipse(self, cx: float, cy: float, rx: float, ry: float) -> Array:
        """Approximate signed distance to an ellipse."""
        d = np.sqrt(((self.x - cx) / rx) ** 2 + ((self.y - cy) / ry) ** 2) - 1
        return np.asarray(d * min(rx, ry), np.float32)

    def turned(self, radius: Array, low: float, high: float, curve: float = 0.06) -> Array:
        """Signed distance to a turned solid of half-width `radius` [rows, 1]; its foot bulges as seen from above."""
        across = np.sqrt(np.clip(1 - (self.x / np.maximum(radius, 1e-3)) ** 2, 0, 1))
        foot = low + curve * radius * (1 - across)
        return np.asarray(np.maximum(np.maximum(np.abs(self.x) - radius, foot - self.y), self.y - high), np.float32)

    def round_shade(self, radius: Array | float, gloss: float = 0.5) -> tuple[Array, Array]:
        """Diffuse factor and highlight of a vertical cylinder of half-width `radius`."""
        n = np.clip(self.x / np.maximum(radius, 1e-3), -1, 1) * self.light.side
        gloss = gloss * self.shine
        diffuse = 0.50 + 0.42 * n + 0.28 * np.sqrt(1 - n * n)
        if self.metallic:
            diffuse = diffuse + 0.13 * np.cos(7.0 * n - 1.0)
        shine = gloss * np.exp(-(((n - 0.52) / 0.13) ** 2)) + 0.30 * gloss * np.exp(-(((n + 0.72) / 0.10) ** 2))
        return np.asarray(diffuse, np.float32), np.asarray(shine, np.float32)

    def flat_shade(self, gloss: float = 0.15) -> tuple[Array, Array]:
        """Factor and highlight of an upright flat face: lighter above and towards the light."""
        diffuse = 0.78 + 0.22 * self.y + 0.22 * self.x * self.light.side
        shine = gloss * self.shine * np.exp(-(((self.x * self.light.side - 0.55 * self.y + 0.22) / 0.10) ** 2))
        return np.asarray(diffuse, np.float32), np.asarray(shine, np.float32)

    def paint(
        self,
        distance: Array,
        paint: object,
        shade: tuple[Array, Array] | None = None,
        softness: float = 1.0,
        solid: bool = True,
    ) -> None:
        """Paints a shape. `solid` shapes add to the outline; others stay inside what is there (labels, shine)."""
        cover = self.edge(distance, softness)
        if not solid:
            cover = cover * (self.alpha > 0)
        planes = np.asarray(paint, np.float32)
        planes = planes.reshape(3, 1, 1) if planes.ndim == 1 else planes
        if shade is not None:
            planes = planes * shade[0] + shade[1]
        if solid:
            # Colour is not premultiplied, so the first layer is painted at full strength; otherwise edges become dark.
            weight = np.where(self.alpha > 1e-3, cover / np.maximum(self.alpha + cover - self.alpha * cover, 1e-6), 1.0)
            self.rgb += (planes - self.rgb) * np.where(cover > 0, weight, 0)
            self.alpha = (self.alpha + cover - self.alpha * cover).astype(np.float32)
        else:
            self.rgb += (planes - self.rgb) * cover

    def finish(self) -> Array:
        """The product as RGBA planes [4, rows, columns] in [0, 1], under the scene's light."""
        rgb = np.clip(self.rgb * self.light.tint, 0, 1)
        return np.asarray(np.concatenate([rgb, self.alpha[None]]), np.float32)
