"""The loop that a user would write first: torch eager, diffusers' own scheduler, both rows of a guided step at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from backdrop.v1 import generation_service_pb2 as pb
from bench.orders import png
from orchestrator.domain import Size
from orchestrator.imaging.canvas import build_canvas, build_scene_input
from orchestrator.imaging.decode import decode_mask, decode_photo
from orchestrator.imaging.output import composite, enlarge
from orchestrator.imaging.placement import bounding_box, choose_scene
from orchestrator.sampler import NoiseStream
from training.evaluation.reference import Folder, Pipeline

_MAX_PIXELS = 16_000_000


class Eager:
    """The pipelines of the weights folders, in float32; no reward model, no receipt: less work than the other arms."""

    def __init__(self, weights: Path, threads: int) -> None:
        torch.set_num_threads(threads)
        self._weights = weights
        self._pipelines: dict[str, Pipeline] = {}

    @torch.inference_mode()
    def generate(self, message: bytes) -> bytes:
        """Returns the picture of a serialized GenerateRequest with a mask and no placement, as PNG."""
        request = pb.GenerateRequest.FromString(message)
        folder = self._weights / request.pipeline
        pipeline = self._pipelines.get(request.pipeline) or self._pipelines.setdefault(
            request.pipeline, Pipeline.load(folder)
        )
        photo = decode_photo(request.product, max_pixels=_MAX_PIXELS).rgb
        product = decode_mask(request.mask, max_pixels=_MAX_PIXELS)
        cutout = bounding_box(product)
        assert cutout is not None, "orders have a product"
        size = Size(photo.shape[1], photo.shape[0])
        canvas = build_canvas(photo, product, cutout, size, cutout)
        scene = choose_scene(size, tuple(map(tuple, Folder(folder).setting("buckets"))))
        scene_input = build_scene_input(canvas, scene, 8)
        image, mask = torch.from_numpy(scene_input.product)[None], torch.from_numpy(scene_input.mask)[None]
        scale = float(pipeline.vae.config["scaling_factor"])
        masked = pipeline.vae.encode(image).latent_dist.mean * scale
        known = torch.cat([torch.from_numpy(scene_input.latent_mask)[None], masked], dim=1)
        latents = denoise(pipeline, request, known)
        decoded = pipeline.vae.decode(latents / scale, image=image, mask=mask).sample
        return png(np.asarray(composite(enlarge(decoded[0].numpy(), scene, size), canvas)))


def denoise(pipeline: Pipeline, request: pb.GenerateRequest, known: Tensor) -> Tensor:
    """Clean latents [1, C, h, w]; `known` is mask and masked latents [1, 1 + C, h, w]."""
    guided = request.guidance_scale > 1
    conditions = pipeline.conditions([request.prompt, ""] if guided else [request.prompt], None, 0.0)
    shape = (known.shape[1] - 1, *known.shape[2:])
    # The noise is the orchestrator's, or the pictures could not be compared.
    sample = torch.from_numpy(NoiseStream(request.seed).initial(shape))[None]
    pipeline.scheduler.set_timesteps(request.steps)
    for timestep in pipeline.scheduler.timesteps:
        rows = torch.cat([sample, known], dim=1)
        made = pipeline.denoiser(rows.repeat(2 if guided else 1, 1, 1, 1), timestep, conditions)
        if guided:
            made = made[1:] + request.guidance_scale * (made[:1] - made[1:])
        sample = torch.as_tensor(pipeline.scheduler.step(made, timestep, sample).prev_sample)
    return sample
