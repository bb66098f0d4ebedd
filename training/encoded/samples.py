"""Draws the denoisers' training samples: latents, masks and freshly phrased captions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from training.config import Config, Diffusion
from training.core import loop
from training.core.diffusion import time_ids
from training.data import captions, masks, shards
from training.encoded import latents
from training.encoders import text_encoders, tokenizer
from training.world.captions import background_prompt, full_caption, product_prompt, styleless_prompt
from training.world.labels import Spec

Picks = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True)
class Text:
    """Captions and their encodings: `states` [B, T, D], `pooled` [B, P]."""

    phrases: list[str]
    states: Tensor
    pooled: Tensor


@dataclass(frozen=True)
class Sample:
    """One batch: latents and masked latents [B, 4, h, w], masks [B, 1, h, w] and captions."""

    picks: Picks
    latent: Tensor
    masked: Tensor
    mask: Tensor
    text: Text
    time_ids: Tensor


class Source:
    """Draws the batches of one stage. Every draw has its own random numbers, so any worker can make it at any time."""

    def __init__(self, config: Config, stage: str, hyper: Diffusion, workers: int = 1) -> None:
        self._config, self._stage, self._hyper, self._workers = config, stage, hyper, workers
        self.specs = [shards.spec_of(row) for row in shards.load(config, "scene").rows]
        towers = text_encoders.load(config).to(loop.device())
        self._towers, self._tokenizer = towers, tokenizer.load(config)
        self._unknown = captions.unknown_words()
        self._bank: latents.LatentSet | None = None

    def bank(self, draw: int) -> latents.LatentSet:
        """The latents for a draw: small ones in the first steps. Every 200 steps it loads newly written shards."""
        step = draw // self._workers
        size = 128 if step < self._hyper.small_steps else self._config.data.size
        if self._bank is None or self._bank.size != size or step % 200 == 0:
            self._bank = latents.load(self._config, size)
        return self._bank

    def generator(self, draw: int, purpose: str = "") -> np.random.Generator:
        """Random numbers of a draw. Each purpose has its own, so that style and choice of pictures are independent."""
        return loop.generator(self._config, self._stage + purpose, draw)

    def picks(self, bank: latents.LatentSet, rng: np.random.Generator) -> Picks:
        """Indices of the pictures in one worker's part of a batch."""
        small = bank.size < self._config.data.size
        count = (self._hyper.small_batch if small else self._hyper.batch) // self._workers
        return rng.integers(len(bank), size=count)

    def text_to_image(self, draw: int) -> Sample:
        """Full captions and no known pixels: text-to-image."""
        bank, rng = self.bank(draw), self.generator(draw)
        picks = self.picks(bank, rng)
        text = self.text([self.caption(self.specs[i], rng) for i in picks])
        return self._sample(bank, picks, bank.grey.expand(len(picks), -1, -1, -1), None, text, rng)

    def task_masks(self, draw: int, styleless: float = 0.0) -> Sample:
        """The mixture of all tasks: all is made, all but the product, or what one of `masks.KINDS` marks.

        Args:
            draw: the number of the draw.
            styleless: share of the captions of product masks that do not name time, weather or palette.
        """
        bank, rng, d = self.bank(draw), self.generator(draw), self._config.diffusion
        picks = self.picks(bank, rng)
        share = rng.random(len(picks))
        whole = torch.from_numpy(share < d.whole_share)[:, None, None, None]
        product = torch.from_numpy((share >= d.whole_share) & (share < d.whole_share + d.product_share))
        product = product[:, None, None, None]
        latent = torch.where(whole | product, bank.latent[picks], bank.task_latent[picks])
        masked = torch.where(product, bank.masked[picks], torch.where(whole, bank.grey, bank.task_masked[picks]))
        mask = torch.where(product, bank.mask[picks], bank.task_mask[picks])
        mask = torch.where(whole, torch.ones_like(mask), mask)
        kinds = [masks.KINDS[kind] for kind in bank.task_kind[picks]]
        phrases = [
            self.task_caption(
                "whole" if own < d.whole_share else "product" if is_product else kind, spec, rng, styleless
            )
            for own, is_product, kind, spec in zip(
                share, product.flatten().tolist(), kinds, (self.specs[i] for i in picks), strict=True
            )
        ]
        return self._sample(bank, picks, masked, mask, self.text(phrases), rng, latent)

    def surroundings(self, draw: int) -> Sample:
        """Borders and holes alone, as expand and erase have them, mostly without a caption.

        In a few nothing is known and nothing is said: the rows that guidance leads away from.
        """
        bank, rng, d = self.bank(draw), self.generator(draw), self._config.diffusion
        kinds = np.array(masks.KINDS)[bank.task_kind]
        picks = rng.choice(np.flatnonzero(np.isin(kinds, ("border", "hole"))), self._hyper.batch // self._workers)
        blank = rng.random(len(picks)) < d.prompt_drop
        phrases = [
            "" if nothing else self.task_caption(kinds[i], self.specs[i], rng, borders_unnamed=d.surroundings_unnamed)
            for i, nothing in zip(picks, blank, strict=True)
        ]
        unknown = torch.from_numpy(blank)[:, None, None, None]
        mask = bank.task_mask[picks]
        mask = torch.where(unknown, torch.ones_like(mask), mask)
        masked = torch.where(unknown, bank.grey.to(bank.task_masked.dtype), bank.task_masked[picks])
        return self._sample(bank, picks, masked, mask, self.text(phrases), rng, bank.task_latent[picks])

    def task_caption(
        self,
        kind: str,
        spec: Spec,
        rng: np.random.Generator,
        styleless: float = 0.0,
        borders_unnamed: float | None = None,
    ) -> str:
        """A caption for a sample of the mixture; `kind` is "whole", "product" or one of `masks.KINDS`.

        `borders_unnamed` stands for the setting of that name.
        """
        d = self._config.diffusion
        unnamed = d.borders_unnamed if borders_unnamed is None else borders_unnamed
        if kind == "product" and styleless and rng.random() < styleless:
            return styleless_prompt(spec, rng)
        if kind == "product":
            return self.caption(spec, rng, 0.6)
        if kind == "object":
            # Without a name, a hole gets no product: that is what erase relies on.
            return full_caption(spec, rng) if rng.random() < 0.4 else product_prompt(spec, rng)
        if kind == "hole":
            return "" if rng.random() < d.holes_unnamed else background_prompt(spec, rng)
        if kind == "border" and rng.random() < unnamed:
            return ""
        return self.caption(spec, rng)

    def product_masks(self, draw: int, styleless: float = 0.0, whole: float = 0.0) -> Sample:
        """Product masks; captions name product and background, or the background alone, as users' prompts do.

        Args:
            draw: the number of the draw.
            styleless: share of captions that do not name time, weather or palette.
            whole: share of samples without known pixels.
        """
        bank, rng = self.bank(draw), self.generator(draw)
        picks = self.picks(bank, rng)
        phrases = [
            styleless_prompt(self.specs[i], rng) if rng.random() < styleless else self.caption(self.specs[i], rng, 0.6)
            for i in picks
        ]
        masked, mask = bank.masked[picks], bank.mask[picks]
        alone = torch.from_numpy(rng.random(len(picks)) < whole)[:, None, None, None]
        masked, mask = torch.where(alone, bank.grey, masked), torch.where(alone, torch.ones_like(mask), mask)
        return self._sample(bank, picks, masked, mask, self.text(phrases), rng)

    def caption(self, spec: Spec, rng: np.random.Generator, background: float = 0.0) -> str:
        """A caption, or the empty one for guidance; `background` is the share of captions without a product."""
        if rng.random() < self._config.diffusion.prompt_drop:
            return ""
        if rng.random() < background:
            return captions.training_caption(spec, rng, self._unknown)
        return full_caption(spec, rng) if rng.random() < 0.7 else background_prompt(spec, rng)

    @torch.no_grad()
    def text(self, phrases: list[str]) -> Text:
        """Encodes captions as the pipeline does."""
        ids = tokenizer.token_ids(self._tokenizer, phrases, self._config.text.max_length).to(loop.device())
        with loop.half_precision():
            states, pooled = text_encoders.encode(self._towers, ids)
        return Text(phrases, states.float(), pooled.float())

    def _sample(
        self,
        bank: latents.LatentSet,
        picks: Picks,
        masked: Tensor,
        mask: Tensor | None,
        text: Text,
        rng: np.random.Generator,
        latent: Tensor | None = None,
    ) -> Sample:
        rows, columns = window(rng, bank)
        cut = (slice(None), slice(None), rows, columns)
        latent = bank.latent[torch.from_numpy(picks)] if latent is None else latent
        mask = torch.ones_like(latent[:, :1]) if mask is None else mask
        latent, masked, mask = (plane[cut].float().to(loop.device()) for plane in (latent, masked, mask))
        return sample_of(picks, latent, masked, mask, text)


def sample_of(picks: Picks, latent: Tensor, masked: Tensor, mask: Tensor, text: Text) -> Sample:
    """A batch with the time ids of its latents' size; arguments as the fields of `Sample`."""
    height, width = (8 * extent for extent in latent.shape[-2:])
    return Sample(picks, latent, masked, mask, text, time_ids(height, width, len(picks)))


def window(rng: np.random.Generator, bank: latents.LatentSet) -> tuple[slice, slice]:
    """The crop of the latents that a batch trains on: the whole at 128 pixels, one of the three buckets at 256."""
    side = bank.latent.shape[-1]
    draw = rng.random()
    if bank.size < 256 or draw < 0.6:
        return slice(0, side), slice(0, side)
    short = side * 3 // 4
    # Products stand near the lower edge, so a wide picture loses more of its top than of its bottom.
    top, left = side - short - int(rng.integers(0, 4)), int(rng.integers(0, side - short + 1))
    return (slice(top, top + short), slice(0, side)) if draw < 0.8 else (slice(0, side), slice(left, left + short))


def without_text(sample: Sample, empty: Text) -> Sample:
    """The same batch with the empty prompt: the unconditional rows of guidance."""
    count = len(sample.picks)
    return replace(sample, text=Text([""] * count, empty.states.expand(count, -1, -1), empty.pooled.expand(count, -1)))
