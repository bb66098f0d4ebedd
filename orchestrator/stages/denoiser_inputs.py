"""The denoiser's inputs that are the same in every step: one table, name → rows; a model gets those that it lists."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from backdrop.contract.tiling import Tiling
from orchestrator.arrays import Floats
from orchestrator.stages.embeddings import Embeddings
from orchestrator.stages.models import Models, batch_of
from orchestrator.stages.prepare import Prepared

Rows = npt.NDArray[Any]


@dataclasses.dataclass(frozen=True, eq=False)
class DenoiserInputs:
    """What the rows of one request are made from: first a row for each tile with the prompt, then the unconditional."""

    embeddings: Embeddings
    prepared: Prepared
    models: Models
    adapters: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Weight by name in the denoiser's bank; at most as many as a row has slots."""

    def constant_rows(self) -> dict[str, Rows]:
        """Every input in the denoiser's metadata except `sample` and `timestep`: [rows, …], read-only."""
        tensors = {name: fill(self) for name, fill in _TABLE.items() if self.models.takes("denoiser", name)}
        for value in tensors.values():
            value.flags.writeable = False  # tells the wire that the input repeats, so it is laid out once
        return tensors

    @property
    def rows(self) -> int:
        """Rows of a step inside the guidance window: one for each prompt and tile."""
        return (2 if self.embeddings.negative else 1) * self._tiling.count

    @property
    def _tiling(self) -> Tiling:
        return self.prepared.view.tiling

    def repeated(self, value: npt.NDArray[np.float32]) -> Floats:
        """The same value in every row."""
        return batch_of(*[value] * self.rows)

    def text(self, attribute: str) -> Floats:
        """A part of the text embeddings: the same for all tiles of a prompt."""
        prompts = [each for each in (self.embeddings.positive, self.embeddings.negative) if each is not None]
        return batch_of(*[getattr(prompt, attribute) for prompt in prompts for _ in self._tiling.starts])

    def known_latents(self) -> Floats:
        """The known pixels' latents of each row's tile."""
        assert self.prepared.known_latents is not None, "the denoiser takes them, so they were encoded"
        return self._tiled(self.prepared.known_latents, self.prepared.blank_latents)

    def mask(self) -> Floats:
        """[rows, 1, h, w]: 1 where a latent of the row's tile is made."""
        tiles = self._tiling.cut(self.prepared.view.latent_mask)
        return self._tiled(tiles, None if self.prepared.blank_latents is None else np.ones_like(tiles[0]))

    def _tiled(self, tiles: Floats, blank: Floats | None) -> Floats:
        """Values [tiles, …] of the tiles; unconditional rows have the same, or `blank` […] each."""
        if self.rows == len(tiles):
            return tiles
        return np.concatenate([tiles, tiles if blank is None else batch_of(*[blank] * len(tiles))])

    def time_ids(self) -> Floats:
        """SDXL's micro-conditioning (Podell et al. 2023, §2.2): the bucket's size, uncropped."""
        size = self._tiling.tile
        return self.repeated(np.array([size.height, size.width, 0, 0, size.height, size.width], np.float32))

    def image_tokens(self) -> Floats:
        """[rows, N, D]: the style's tokens in the prompt's rows; zeros without style, and in rows that have none."""
        tokens = np.zeros((self.rows, *self.models.shape("denoiser", "image_tokens")), np.float32)
        if self.embeddings.image_tokens is not None:
            tokens[: self._tiling.count] = self.embeddings.image_tokens
        if self.embeddings.unconditional_tokens is not None:
            tokens[self._tiling.count :] = self.embeddings.unconditional_tokens
        return tokens

    def image_scale(self) -> Floats:
        """[rows, 1]: scale 0 switches the image attention of a row off."""
        scale = np.zeros((self.rows, 1), np.float32)
        if self.embeddings.image_tokens is not None:
            scale[: self._tiling.count] = self.embeddings.image_scale
        if self.embeddings.unconditional_tokens is not None:
            scale[self._tiling.count :] = self.embeddings.image_scale
        return scale

    def adapter_slots(self) -> list[tuple[int, float]]:
        """Row in the bank and weight of each slot; 0 and 0.0 in free ones.

        In the order of the bank, because the last bits of a sum depend on the order of its parts.
        """
        bank, slots = self.models.pipeline.adapters, self.models.pipeline.adapter_slots
        taken = sorted((bank[name].row, weight) for name, weight in self.adapters.items())
        assert len(taken) <= slots, "the request was checked"
        return taken + [(0, 0.0)] * (slots - len(taken))

    def adapter(self) -> Rows:
        """INT64 [rows, K]: the adapters of both prompts' rows, as diffusers has them."""
        return np.array([[row for row, _ in self.adapter_slots()]] * self.rows, np.int64)

    def adapter_scale(self) -> Floats:
        """[rows, K]: the adapters' weights."""
        return np.array([[weight for _, weight in self.adapter_slots()]] * self.rows, np.float32)


_TABLE: dict[str, Callable[[DenoiserInputs], Rows]] = {
    "mask": DenoiserInputs.mask,
    "masked_image_latents": DenoiserInputs.known_latents,
    "encoder_hidden_states": lambda inputs: inputs.text("hidden_states"),
    "text_embeds": lambda inputs: inputs.text("pooled"),
    "time_ids": DenoiserInputs.time_ids,
    "image_tokens": DenoiserInputs.image_tokens,
    "image_scale": DenoiserInputs.image_scale,
    "adapter": DenoiserInputs.adapter,
    "adapter_scale": DenoiserInputs.adapter_scale,
}
