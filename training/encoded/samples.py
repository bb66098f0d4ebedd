"""Draws training samples for the diffusion stages: latents, masks, freshly phrased captions and style pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from training.config import Config, Diffusion
from training.core import loop
from training.core.diffusion import time_ids
from training.data import shards
from training.encoded import latents
from training.encoders import text_encoders, tokenizer
from training.world.captions import background_prompt, full_caption, styleless_prompt
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
    """One batch: latents [B, 4, h, w], what is known of them, and the captions."""

    picks: Picks
    latent: Tensor
    masked: Tensor
    mask: Tensor
    text: Text
    time_ids: Tensor


class Source:
    """Draws batches of one stage. Every draw has its own random numbers: it does not matter who makes it, or when."""

    def __init__(self, config: Config, stage: str, hyper: Diffusion, workers: int = 1) -> None:
        self._config, self._stage, self._hyper, self._workers = config, stage, hyper, workers
        self.specs = [text_encoders.spec_of(row) for row in shards.load(config, "scene").rows]
        towers = text_encoders.load(config).to(loop.device())
        self._towers, self._tokenizer = towers, tokenizer.load(config)
        self._strangers = text_encoders.stranger_words()
        self._bank: latents.Bank | None = None

    def bank(self, draw: int) -> latents.Bank:
        """The latents of a draw's step: small ones first; shards are picked up as they are written."""
        step = draw // self._workers
        size = 128 if step < self._hyper.small_steps else self._config.data.size
        if self._bank is None or self._bank.size != size or step % 200 == 0:
            self._bank = latents.load(self._config, size)
        return self._bank

    def generator(self, draw: int, purpose: str = "") -> np.random.Generator:
        """The random numbers of a draw; each purpose has its own, or style would go by the choice of pictures."""
        return loop.generator(self._config, self._stage + purpose, draw)

    def picks(self, bank: latents.Bank, rng: np.random.Generator) -> Picks:
        """Which pictures one worker's share of a batch shows."""
        small = bank.size < self._config.data.size
        count = (self._hyper.small_batch if small else self._hyper.batch) // self._workers
        return rng.integers(len(bank), size=count)

    def plain(self, draw: int) -> Sample:
        """Whole pictures with full captions, all of it to be made: text-to-image."""
        bank, rng = self.bank(draw), self.generator(draw)
        picks = self.picks(bank, rng)
        text = self.text([self.caption(self.specs[i], rng) for i in picks])
        return self._sample(bank, picks, bank.grey.expand(len(picks), -1, -1, -1), None, text, rng)

    def random(self, draw: int) -> Sample:
        """Random masks with full captions; some pictures are to be made wholly."""
        bank, rng = self.bank(draw), self.generator(draw)
        picks = self.picks(bank, rng)
        torn = picks // latents.RANDOM_EVERY % len(bank.random_mask)
        picks = torn * latents.RANDOM_EVERY
        masked, mask = bank.random_masked[torn], bank.random_mask[torn]
        whole = torch.from_numpy(rng.random(len(picks)) < 0.15)[:, None, None, None]
        masked, mask = torch.where(whole, bank.grey, masked), torch.where(whole, torch.ones_like(mask), mask)
        text = self.text([self.caption(self.specs[i], rng) for i in picks])
        return self._sample(bank, picks, masked, mask, text, rng)

    def product(self, draw: int, styleless: float = 0.0, whole: float = 0.0) -> Sample:
        """Product masks; captions name the product and the background, or the background alone, as users' prompts do.

        Args:
            draw: the number of the draw.
            styleless: share of captions that say nothing of time, weather and palette.
            whole: share of pictures that are to be made wholly, without a product to keep.
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
        """A caption, or the empty one that guidance subtracts; `background` is the share that names no product."""
        if rng.random() < self._config.diffusion.prompt_drop:
            return ""
        if rng.random() < background:
            return text_encoders.caption_for(spec, rng, self._strangers)
        return full_caption(spec, rng) if rng.random() < 0.7 else background_prompt(spec, rng)

    @torch.no_grad()
    def text(self, phrases: list[str]) -> Text:
        """Encodes captions as the pipeline does."""
        ids = text_encoders.tokens(self._tokenizer, phrases, self._config.text.max_length).to(loop.device())
        with loop.half_precision():
            states, pooled = text_encoders.encode(self._towers, ids)
        return Text(phrases, states.float(), pooled.float())

    def _sample(
        self,
        bank: latents.Bank,
        picks: Picks,
        masked: Tensor,
        mask: Tensor | None,
        text: Text,
        rng: np.random.Generator,
    ) -> Sample:
        rows, columns = window(rng, bank)
        cut = (slice(None), slice(None), rows, columns)
        latent = bank.latent[torch.from_numpy(picks)]
        mask = torch.ones_like(latent[:, :1]) if mask is None else mask
        latent, masked, mask = (plane[cut].float().to(loop.device()) for plane in (latent, masked, mask))
        height, width = (8 * extent for extent in latent.shape[-2:])
        return Sample(picks, latent, masked, mask, text, time_ids(height, width, len(picks)))


def window(rng: np.random.Generator, bank: latents.Bank) -> tuple[slice, slice]:
    """Which part of the latents a batch trains on: whole squares at 128 pixels, the three buckets in turn at 256."""
    side = bank.latent.shape[-1]
    draw = rng.random()
    if bank.size < 256 or draw < 0.6:
        return slice(0, side), slice(0, side)
    short = side * 3 // 4
    # A product stands near the lower edge, so a wide picture is cut from above more than from below.
    top, left = side - short - int(rng.integers(0, 4)), int(rng.integers(0, side - short + 1))
    return (slice(top, top + short), slice(0, side)) if draw < 0.8 else (slice(0, side), slice(left, left + short))


def without_text(sample: Sample, empty: Text) -> Sample:
    """The same batch under the empty prompt, as guidance's other half reads it."""
    count = len(sample.picks)
    return replace(sample, text=Text([""] * count, empty.states.expand(count, -1, -1), empty.pooled.expand(count, -1)))
