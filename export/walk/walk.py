"""A request from prompt and photo to picture, over whatever runs a pipeline's components: torch modules, or graphs.

Every component is opened once and does its part of all examples before the next is opened, so that one of them at a
time is in memory. The loop is diffusers' own (a scheduler of its, classifier-free guidance as two rows), not the
orchestrator's: the export should find what is wrong with a graph, whoever serves it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from export.rehearsal.conditioning import TEXT_ROLES, Prompted, rows_of
from export.rehearsal.examples import Bytes, Example
from export.rehearsal.scene import Array, Scene, Tensors, place, scheduler_of, token_ids
from export.source import PipelineFolder


class Runner(Protocol):
    """Runs a component on a batch; takes what it has inputs for, and leaves the rest."""

    def __call__(self, inputs: Mapping[str, Array]) -> Tensors: ...


Opener = Callable[[str], AbstractContextManager[Runner]]
"""Opens the component of a role for as long as it is needed."""
Listener = Callable[[str, Mapping[str, Array]], None]
"""Hears of each call: role and inputs."""


@dataclass(frozen=True)
class Walk:
    """How a pipeline's requests are made."""

    folder: PipelineFolder
    steps: int
    open_role: Opener
    hear: Listener = lambda role, inputs: None

    def run(self, examples: Sequence[Example]) -> list[Bytes]:
        """Makes every example's picture [H, W, 3], as the components made it: no product is pasted back."""
        latents = self.folder.sources["vae_encoder"].config
        levels = len(latents.get("down_block_out_channels") or latents["block_out_channels"])
        bucket = self.folder.settings["buckets"][0]
        scenes = [place(example, tuple(bucket), 2 ** (levels - 1)) for example in examples]
        prompted = self.encode(examples, scenes)
        masked = [made["latents"] for made in self.stage("vae_encoder", [{"image": one.masked} for one in scenes])]
        clean = self.denoise(scenes, prompted, masked)
        decoded = self.stage(
            "vae_decoder",
            [{"latents": z, "image": one.masked, "mask": one.mask} for z, one in zip(clean, scenes, strict=True)],
        )
        pictures = [made["decoded"] for made in decoded]
        if "reward" in self.folder.sources:
            pooled = [one.pooled for one in prompted]
            self.stage(
                "reward",
                [
                    {"image": picture, "mask": one.mask, "text_embeds": embeds[:1]}
                    for picture, one, embeds in zip(pictures, scenes, pooled, strict=True)
                    if embeds is not None
                ],
            )
        return [to_bytes(picture[0]) for picture in pictures]

    def stage(self, role: str, calls: Sequence[Mapping[str, Array]]) -> list[Tensors]:
        """Opens a component and makes these calls."""
        with self.open_role(role) as run:
            return [self.call(role, run, inputs) for inputs in calls]

    def call(self, role: str, run: Runner, inputs: Mapping[str, Array]) -> Tensors:
        """Makes one call, which is heard."""
        self.hear(role, inputs)
        return run(inputs)

    def encode(self, examples: Sequence[Example], scenes: Sequence[Scene]) -> list[Prompted]:
        """What the denoiser reads beside the picture: the prompt and the empty one; the photo is the style."""
        text: dict[str, list[Tensors]] = {}
        for role in TEXT_ROLES:
            if role in self.folder.sources:
                ids = [token_ids(self.folder, role, [example.prompt, ""]) for example in examples]
                text[role] = self.stage(role, [{"input_ids": rows} for rows in ids])
        images: dict[str, list[Tensors]] = {}
        for role in ("segmenter", "image_encoder_clip", "image_encoder_uve"):
            if role in self.folder.sources:
                images[role] = self.stage(role, [{"image": one.image} for one in scenes])
        tokens: list[Tensors] = [{} for _ in scenes]
        if "image_projector" in self.folder.sources:
            clip = [made["image_embeds"] for made in images["image_encoder_clip"]]
            uve = [made["embedding"] for made in images.get("image_encoder_uve", [])]
            calls = [{"clip": value} | ({"uve": uve[index]} if uve else {}) for index, value in enumerate(clip)]
            tokens = self.stage("image_projector", calls)
        return [
            rows_of({role: made[index] for role, made in text.items()}, tokens[index]) for index in range(len(scenes))
        ]

    def denoise(self, scenes: Sequence[Scene], prompted: Sequence[Prompted], masked: Sequence[Array]) -> list[Array]:
        """Clean latents [1, C, h, w] of every example."""
        guidance = float(self.folder.settings["defaults"]["guidance_scale"])
        with self.open_role("denoiser") as run:
            return [
                self.loop(run, scene, text, known, guidance, seed)
                for seed, (scene, text, known) in enumerate(zip(scenes, prompted, masked, strict=True))
            ]

    def loop(self, run: Runner, scene: Scene, prompted: Prompted, masked: Array, guidance: float, seed: int) -> Array:
        """One example's way from noise to latents."""
        generator, scheduler = torch.Generator().manual_seed(seed), scheduler_of(self.folder)
        scheduler.set_timesteps(self.steps)
        rows = 2 if guidance > 1 else 1
        constant = {
            name: np.ascontiguousarray(value[:rows])
            for name, value in {
                **prompted.rows,
                "mask": scene.latent_mask.repeat(2, 0),
                "masked_image_latents": masked.repeat(2, 0),
                "time_ids": scene.time_ids.repeat(2, 0),
            }.items()
        }
        sample = torch.randn(masked.shape, generator=generator) * float(getattr(scheduler, "init_noise_sigma", 1.0))
        # Solvers that draw noise in their steps draw it from here, so that both walks meet the same.
        drawing = "generator" in inspect.signature(scheduler.step).parameters
        options: dict[str, Any] = {"generator": generator} if drawing else {}
        for timestep in scheduler.timesteps:
            given = scheduler.scale_model_input(sample, timestep) if hasattr(scheduler, "scale_model_input") else sample
            inputs = {
                "sample": given.numpy().repeat(rows, 0),
                "timestep": np.full((rows, 1), float(timestep), np.float32),
                **constant,
            }
            made = self.call("denoiser", run, inputs)["noise_pred"]
            predicted = torch.from_numpy(made[:1] if rows == 1 else made[1:] + guidance * (made[:1] - made[1:]))
            sample = scheduler.step(predicted, timestep, sample, **options).prev_sample
        found: Array = sample.numpy()
        return found


def to_bytes(picture: Array) -> Bytes:
    """[3, H, W] in −1…1 to [H, W, 3]; what is no number is grey, and the difference says so."""
    finite = np.nan_to_num(picture, nan=0.0, posinf=1.0, neginf=-1.0)
    pixels = ((np.clip(finite, -1, 1) + 1) * 127.5).round().astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(1, 2, 0))
