"""The same picture through torch modules directly: no ONNX, no Triton, no solver of ours.

Weights come from the diffusers folder, the loop from diffusers' scheduler; only the placing of the product and the
final compositing are the orchestrator's, since they are not what is compared.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
import transformers

from orchestrator.domain import Bytes, Size
from orchestrator.imaging.canvas import build_canvas, build_scene_input
from orchestrator.imaging.output import composite, enlarge
from orchestrator.imaging.placement import bounding_box, choose_scene
from orchestrator.sampler import NoiseStream

_CLASSES = {"text_encoder": "CLIPTextModel", "text_encoder_2": "CLIPTextModelWithProjection"}


@dataclasses.dataclass(frozen=True)
class Order:
    """What is generated: the photo [H, W, 3] with its mask [H, W] stays where it is."""

    photo: Bytes
    mask: Bytes
    prompt: str
    seed: int
    steps: int
    guidance_scale: float


class TorchReference:
    """A diffusers-layout folder, loaded in float32."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unet = diffusers.UNet2DConditionModel.from_pretrained(folder / "unet").float().eval()
        self._vae = diffusers.AsymmetricAutoencoderKL.from_pretrained(folder / "vae").float().eval()
        self._encoders = {
            name: getattr(transformers, kind).from_pretrained(folder / name).float().eval()
            for name, kind in _CLASSES.items()
        }
        self._tokenizers = {
            name: transformers.CLIPTokenizer.from_pretrained(folder / name.replace("text_encoder", "tokenizer"))
            for name in _CLASSES
        }
        scheduler = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
        self._betas = {key: scheduler[key] for key in ("beta_schedule", "beta_start", "beta_end", "prediction_type")}
        self._buckets = json.loads((folder / "backdrop.json").read_text())["buckets"]

    @torch.no_grad()
    def generate(self, order: Order) -> Bytes:
        """Returns the finished picture [H, W, 3], by DPM-Solver++ 2M."""
        cutout = bounding_box(order.mask)
        assert cutout is not None
        size = Size(order.photo.shape[1], order.photo.shape[0])
        canvas = build_canvas(order.photo, order.mask, cutout, size, cutout)
        scene = choose_scene(size, self._buckets)
        scene_input = build_scene_input(canvas, scene, 8)
        image, mask = torch.from_numpy(scene_input.product)[None], torch.from_numpy(scene_input.mask)[None]
        latents = self._denoise(order, image, torch.from_numpy(scene_input.latent_mask)[None])
        decoded = self._vae.decode(latents / self._vae.config.scaling_factor, image=image, mask=mask).sample
        return composite(enlarge(decoded[0].numpy(), scene, size), canvas)

    def _denoise(self, order: Order, image: torch.Tensor, latent_mask: torch.Tensor) -> torch.Tensor:
        masked = self._vae.encode(image).latent_dist.mean * self._vae.config.scaling_factor
        positive, negative = self._embed(order.prompt), self._embed("")
        states = torch.cat([positive[0], negative[0]])
        height, width = image.shape[2:]
        added = {
            "text_embeds": torch.cat([positive[1], negative[1]]),
            "time_ids": torch.tensor([[height, width, 0, 0, height, width]] * 2, dtype=torch.float32),
        }
        scheduler = diffusers.DPMSolverMultistepScheduler(
            **self._betas, timestep_spacing="trailing", algorithm_type="dpmsolver++", solver_order=2
        )
        scheduler.set_timesteps(order.steps)
        sample = torch.from_numpy(NoiseStream(order.seed).initial(masked.shape[1:]))[None]
        for timestep in scheduler.timesteps:
            rows = torch.cat([sample, latent_mask, masked], dim=1).repeat(2, 1, 1, 1)
            predicted = self._unet(rows, timestep, states, added_cond_kwargs=added).sample
            conditional, unconditional = predicted.chunk(2)
            guided = unconditional + order.guidance_scale * (conditional - unconditional)
            sample = scheduler.step(guided, timestep, sample).prev_sample
        return sample

    def _embed(self, prompt: str) -> tuple[torch.Tensor, torch.Tensor]:
        hidden, pooled = [], None
        for name, encoder in self._encoders.items():
            tokenized: Any = self._tokenizers[name](prompt, padding="max_length", max_length=77, return_tensors="pt")
            output = encoder(tokenized.input_ids, output_hidden_states=True)
            hidden.append(output.hidden_states[-2])
            pooled = getattr(output, "text_embeds", pooled)
        assert pooled is not None
        return torch.cat(hidden, dim=-1), pooled


def largest_difference(ours: Bytes, theirs: Bytes) -> int:
    """In 8-bit steps."""
    return int(np.abs(ours.astype(np.int16) - theirs.astype(np.int16)).max())
