"""The independent reference: the same pictures through torch modules and diffusers' schedulers, compared with ours.

No ONNX, no Triton, no solver of ours. Weights come from the weights folders, the loop from diffusers' scheduler; only
the placing of the product, the noise and the final compositing are the orchestrator's, since they are not compared. It
is also the arm `diffusers`, the loop that a user would write first: eager, both rows of a guided step in one call.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from diffusers.schedulers import scheduling_lcm
from torch import Tensor

from backdrop import Background, Client, StyleImage
from backdrop.contract.canvas import Canvas, Kept, MaskSource
from backdrop.contract.finishing import composite
from backdrop.contract.geometry import Rect, Size
from bench.figures import ROOT
from bench.requests import BenchRequest
from orchestrator.arrays import Bytes
from orchestrator.imaging.finish import enlarge, to_bytes
from orchestrator.imaging.frame import frame_of
from orchestrator.imaging.view import view_of
from orchestrator.sampler import NoiseStream
from orchestrator.stages.style import to_model
from tests.pictures import ellipse_mask, encoded, noisy_photo
from training.evaluation.reference import Embeddings, Pipeline
from training.publish.weights_folder import WeightsFolder

WEIGHTS = ROOT / "training" / "weights"


class TorchReference:
    """A weights folder, loaded in float32; no reward model, no receipt."""

    def __init__(self, folder: Path) -> None:
        self._pipeline = Pipeline.load(folder)
        self._buckets = [Size(width, height) for height, width in WeightsFolder(folder).setting("buckets")]

    @torch.inference_mode()
    def generate(self, request: BenchRequest) -> Bytes:
        """Returns the finished picture [H, W, 3], by the folder's own solver."""
        size = Size(request.photo.shape[1], request.photo.shape[0])
        kept = Kept(Rect(0, 0, size.width, size.height), unscaled=True, mask_source=MaskSource.REQUEST)
        frame = frame_of(Canvas(request.photo, np.invert(request.mask), kept), self._buckets)
        view = view_of(frame, 8)
        image, mask = torch.from_numpy(view.known)[None], torch.from_numpy(view.mask)[None]
        vae = self._pipeline.vae
        scale = float(vae.config["scaling_factor"])
        masked = vae.encode(image).latent_dist.mean * scale
        known = torch.cat([torch.from_numpy(view.latent_mask)[None], masked], dim=1)
        decoded = vae.decode(self._denoise(request, known) / scale, image=image, mask=mask).sample
        return composite(enlarge(to_bytes(decoded[0].numpy()), frame), frame)

    def _denoise(self, request: BenchRequest, known: Tensor) -> Tensor:
        """Clean latents [1, C, h, w]; `known` is mask and masked latents [1, 1 + C, h, w]."""
        pipeline, noise = self._pipeline, NoiseStream(request.seed)
        guided = request.guidance_scale > 1
        embeddings = self._embeddings(request, guided)
        shape = (known.shape[1] - 1, *known.shape[2:])
        # The noise is the orchestrator's, or the pictures could not be compared.
        sample = torch.from_numpy(noise.initial(shape))[None]
        pipeline.scheduler.set_timesteps(request.steps)
        for index, timestep in enumerate(pipeline.scheduler.timesteps):
            rows = torch.cat([sample, known], dim=1).repeat(2 if guided else 1, 1, 1, 1)
            prediction = pipeline.denoiser(rows, timestep, embeddings)
            if guided:
                prediction = prediction[1:] + request.guidance_scale * (prediction[:1] - prediction[1:])
            fresh = torch.from_numpy(noise.at_step(index, shape))[None]
            with _drawing(fresh):
                sample = torch.as_tensor(pipeline.scheduler.step(prediction, timestep, sample).prev_sample)
        return sample

    def _embeddings(self, request: BenchRequest, guided: bool) -> Embeddings:
        """The conditional row, and behind it the unconditional one of a guided request, which has no style."""
        rows = [self._pipeline.embeddings([request.prompt], *self._style(request))]
        if guided:
            rows.append(self._pipeline.embeddings([""], None, 0.0))
        return Embeddings(
            *(torch.cat([getattr(row, field.name) for row in rows]) for field in dataclasses.fields(Embeddings))
        )

    def _style(self, request: BenchRequest) -> tuple[list[Tensor] | None, float]:
        if not request.styles:
            return None, 0.0
        assert self._pipeline.images is not None, "the folder takes no style pictures"
        shown = [(torch.from_numpy(to_model(picture)), weight) for picture, weight in request.styles]
        return [self._pipeline.images.tokens(shown)], request.image_scale


def _drawing(noise: Tensor) -> contextlib.AbstractContextManager[object]:
    """The consistency model's solver draws fresh noise inside its step: hand it the orchestrator's."""
    return mock.patch.object(scheduling_lcm, "randn_tensor", return_value=noise)


def request(seed: int, prompt: str, steps: int = 20) -> BenchRequest:
    """A noisy photo with a soft mask, guided."""
    return BenchRequest(noisy_photo(256, 256, seed), ellipse_mask(256, 256, soft=True), prompt, seed, steps, 3.0)


def compared_requests(steps: int = 20) -> dict[str, list[BenchRequest]]:
    """The requests to compare, by pipeline whose weights are published; one with a style picture."""
    styled = dataclasses.replace(
        request(2, "a forest", steps), styles=((noisy_photo(256, 256, 99), 1.0),), image_scale=0.8
    )
    every = {
        "backdrop": [request(0, "a beach at sunset", steps), request(1, "a city at night", steps), styled],
        "backdrop-fast": [dataclasses.replace(request(3, "a kitchen"), steps=4, guidance_scale=1.0)],
        "backdrop-dit": [request(4, "a market at night", steps)],
    }
    return {name: some for name, some in every.items() if (WEIGHTS / name).is_dir()}


def differences(endpoint: str, compared: Mapping[str, Sequence[BenchRequest]]) -> dict[str, list[int]]:
    """The largest difference of each request's picture, in 8-bit steps, by pipeline."""
    result: dict[str, list[int]] = {}
    with Client(endpoint, timeout_s=300) as client:
        for name, some in compared.items():
            reference = TorchReference(WEIGHTS / name)
            result[name] = [largest_difference(_served(client, name, one), reference.generate(one)) for one in some]
    return result


def largest_difference(ours: Bytes, theirs: Bytes) -> int:
    """In 8-bit steps."""
    return int(np.abs(ours.astype(np.int16) - theirs.astype(np.int16)).max())


def _served(client: Client, pipeline: str, one: BenchRequest) -> Bytes:
    result = client.generate(
        Background(encoded(one.photo), encoded(one.mask)),
        prompt=one.prompt,
        seed=one.seed,
        steps=one.steps,
        guidance_scale=one.guidance_scale,
        pipeline=pipeline,
        style_images=[StyleImage(encoded(picture), weight) for picture, weight in one.styles],
        image_scale=one.image_scale,
    ).result()
    return np.asarray(result.pictures[0].image().convert("RGB"))
