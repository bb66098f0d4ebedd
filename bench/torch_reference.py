"""The same picture through torch modules directly: no ONNX, no Triton, no solver of ours.

Weights come from the weights folders, the loop from diffusers' scheduler; only the placing of the product, the noise
and the final compositing are the orchestrator's, since they are not what is compared.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from diffusers.schedulers import scheduling_lcm
from torch import Tensor

from bench.orders import Order
from orchestrator.domain import Bytes, Size
from orchestrator.imaging.canvas import build_canvas, build_scene_input
from orchestrator.imaging.output import composite, enlarge
from orchestrator.imaging.placement import bounding_box, choose_scene
from orchestrator.imaging.style import to_model
from orchestrator.sampler import NoiseStream
from training.evaluation.reference import Conditions, Folder, Pipeline


class TorchReference:
    """A weights folder, loaded in float32."""

    def __init__(self, folder: Path) -> None:
        self._pipeline = Pipeline.load(folder)
        self._buckets = Folder(folder).setting("buckets")

    @torch.no_grad()
    def generate(self, order: Order) -> Bytes:
        """Returns the finished picture [H, W, 3], by the folder's own solver."""
        cutout = bounding_box(order.mask)
        assert cutout is not None
        size = Size(order.photo.shape[1], order.photo.shape[0])
        canvas = build_canvas(order.photo, order.mask, cutout, size, cutout)
        scene = choose_scene(size, self._buckets)
        scene_input = build_scene_input(canvas, scene, 8)
        image, mask = torch.from_numpy(scene_input.product)[None], torch.from_numpy(scene_input.mask)[None]
        vae = self._pipeline.vae
        scale = float(vae.config["scaling_factor"])
        masked = vae.encode(image).latent_dist.mean * scale
        known = torch.cat([torch.from_numpy(scene_input.latent_mask)[None], masked], dim=1)
        decoded = vae.decode(self._denoise(order, known) / scale, image=image, mask=mask).sample
        return composite(enlarge(decoded[0].numpy(), scene, size), canvas)

    def _denoise(self, order: Order, known: Tensor) -> Tensor:
        pipeline, noise = self._pipeline, NoiseStream(order.seed)
        asked, plain = self._conditions(order), pipeline.conditions([""], None, 0.0)
        shape = (known.shape[1] - 1, *known.shape[2:])
        sample = torch.from_numpy(noise.initial(shape))[None]
        pipeline.scheduler.set_timesteps(order.steps)
        for index, timestep in enumerate(pipeline.scheduler.timesteps):
            rows = torch.cat([sample, known], dim=1)
            made = pipeline.denoiser(rows, timestep, asked)
            if order.guidance_scale > 1:
                away = pipeline.denoiser(rows, timestep, plain)
                made = away + order.guidance_scale * (made - away)
            fresh = torch.from_numpy(noise.at_step(index, shape))[None]
            with _drawing(fresh):
                sample = pipeline.scheduler.step(made, timestep, sample).prev_sample
        return sample

    def _conditions(self, order: Order) -> Conditions:
        if not order.styles:
            return self._pipeline.conditions([order.prompt], None, 0.0)
        assert self._pipeline.images is not None, "the folder takes no style pictures"
        shown = [(torch.from_numpy(to_model(picture)), weight) for picture, weight in order.styles]
        tokens = self._pipeline.images.tokens(shown)
        return self._pipeline.conditions([order.prompt], [tokens], order.image_scale)


def _drawing(noise: Tensor) -> contextlib.AbstractContextManager[object]:
    """The consistency model's solver draws fresh noise inside its step: hand it the orchestrator's."""
    return mock.patch.object(scheduling_lcm, "randn_tensor", return_value=noise)


def largest_difference(ours: Bytes, theirs: Bytes) -> int:
    """In 8-bit steps."""
    return int(np.abs(ours.astype(np.int16) - theirs.astype(np.int16)).max())
