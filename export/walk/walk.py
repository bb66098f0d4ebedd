"""Requests from prompt and photo to latents and picture, over whatever runs a pipeline's components.

Every component is opened once and does its part of all requests before the next one is opened, so that one component
at a time is in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from export.layout import TEXT_ROLES
from export.source import PipelineFolder
from export.upscalers import geometry
from export.walk.denoise import Blend, denoise, scheduler_of
from export.walk.embeddings import Embeddings, embeddings_of, token_ids
from export.walk.frame import WalkFrame
from export.walk.runner import Array, Bytes, Listener, Opener, Runner, Tensors, no_listener


@dataclass(frozen=True)
class WalkRequest:
    """One request."""

    prompt: str
    frame: WalkFrame
    """What is kept of a photo, in a bucket's size; `WalkFrame.blank` where all is to be made."""
    steps: int
    guidance: float
    seed: int
    style: Array | None = None
    """A style picture [1, 3, H, W] in −1…1, for pipelines that take one."""
    noise: Array | None = None
    """[1, C, h, w] to begin with; drawn from `seed` where there is none."""


@dataclass(frozen=True)
class WalkResult:
    """What a request comes to."""

    latents: Array
    """[1, C, h, w], clean."""
    picture: Array
    """[1, 3, H, W] in −1…1, as the decoder made it: the product is not composited back."""


@dataclass(frozen=True)
class Walk:
    """A pipeline, and what runs its components."""

    folder: PipelineFolder
    open_role: Opener
    listen: Listener = no_listener

    def run(self, requests: Sequence[WalkRequest]) -> list[WalkResult]:
        """Makes every request's latents and picture; runs the reward model and the upscaler on it if there are any."""
        frames = [request.frame for request in requests]
        embeddings = self.encode(requests)
        # A denoiser that inpaints reads the masked picture; into any other one's samples the whole picture is blended.
        seen = [frame.masked if self.folder.inpaints else frame.image for frame in frames]
        known = self.stage("vae_encoder", [{"image": image} for image in seen])
        latents = self.denoise(requests, embeddings, [outputs["latents"] for outputs in known])
        decoded = self.stage(
            "vae_decoder",
            [
                {"latents": clean, "image": frame.masked, "mask": frame.mask}
                for clean, frame in zip(latents, frames, strict=True)
            ],
        )
        results = [WalkResult(clean, outputs["decoded"]) for clean, outputs in zip(latents, decoded, strict=True)]
        if "reward" in self.folder.sources:
            self.stage(
                "reward",
                [
                    {"image": result.picture, "mask": frame.mask, **self.judged_text(one)}
                    for result, frame, one in zip(results, frames, embeddings, strict=True)
                ],
            )
        if "upscaler" in self.folder.sources:
            tile, _ = geometry(self.folder.sources["upscaler"].config)
            self.stage("upscaler", [{"image": centre(result.picture, tile)} for result in results])
        return results

    def judged_text(self, embeddings: Embeddings) -> dict[str, Array]:
        """What the reward model reads of the prompt."""
        blind = self.folder.sources["reward"].without_text
        return {} if blind else {"text_embeds": embeddings.rows["text_embeds"][:1]}

    def stage(self, role: str, calls: Sequence[Mapping[str, Array]]) -> list[Tensors]:
        """Opens a component and makes these calls."""
        with self.open_role(role) as run:
            return [self.heard(role, run)(inputs) for inputs in calls]

    def heard(self, role: str, run: Runner) -> Runner:
        """A runner whose calls the listener is told of."""

        def call(inputs: Mapping[str, Array]) -> Tensors:
            self.listen(role, inputs)
            return run(inputs)

        return call

    def encode(self, requests: Sequence[WalkRequest]) -> list[Embeddings]:
        """Each request's prompt, the empty prompt, and its style, as the denoiser reads them."""
        text: dict[str, list[Tensors]] = {}
        for role in TEXT_ROLES:
            if role in self.folder.sources:
                ids = [token_ids(self.folder, role, [request.prompt, ""]) for request in requests]
                text[role] = self.stage(role, [{"input_ids": rows} for rows in ids])
        if "segmenter" in self.folder.sources:
            self.stage("segmenter", [{"image": request.frame.image} for request in requests])
        tokens = self.image_tokens([request.style for request in requests])
        return [
            embeddings_of(self.folder, {role: outputs[index] for role, outputs in text.items()}, tokens[index])
            for index in range(len(requests))
        ]

    def image_tokens(self, styles: Sequence[Array | None]) -> list[Array | None]:
        """`image_tokens` [2, N, D] of every request, of the prompt's row and of the empty one's; zeros without style.

        None where the pipeline takes no style.
        """
        if "image_projector" not in self.folder.sources:
            return [None] * len(styles)
        projector = self.folder.sources["image_projector"].config
        none = np.zeros((1, int(projector["tokens"]), int(projector["cross_attention_dim"])), np.float32)
        pictures = [{"image": self.preprocessed(style)} for style in styles if style is not None]
        if not pictures:
            return [np.concatenate([none, none])] * len(styles)
        calls = [{"clip": outputs["image_embeds"]} for outputs in self.stage("image_encoder_clip", pictures)]
        if "image_encoder_uve" in self.folder.sources:
            for call, outputs in zip(calls, self.stage("image_encoder_uve", pictures), strict=True):
                call["uve"] = outputs["embedding"]
        if self.folder.conventions["unconditional_image"] == "zeros":
            calls.append({name: np.zeros_like(value) for name, value in calls[0].items()})
        tokens = [outputs["image_tokens"] for outputs in self.stage("image_projector", calls)]
        unconditional = tokens.pop() if len(tokens) > len(pictures) else none
        answers = iter(tokens)
        return [np.concatenate([none, none] if style is None else [next(answers), unconditional]) for style in styles]

    def preprocessed(self, style: Array) -> Array:
        """A style picture [1, 3, H, W] in −1…1 as the image encoders' graphs take it."""
        own = self.folder.sources["image_encoder_clip"].preprocess
        return style if own is None else own.square(style)

    def denoise(
        self, requests: Sequence[WalkRequest], embeddings: Sequence[Embeddings], known: Sequence[Array]
    ) -> list[Array]:
        """Clean latents [1, C, h, w] of every request."""
        with self.open_role("denoiser") as run:
            return [
                self.clean_latents(self.heard("denoiser", run), request, one, latents)
                for request, one, latents in zip(requests, embeddings, known, strict=True)
            ]

    def clean_latents(self, run: Runner, request: WalkRequest, embeddings: Embeddings, known: Array) -> Array:
        """One request's way from noise to latents; `known` are the latents of what `run` reads or is blended in."""
        generator, frame = torch.Generator().manual_seed(request.seed), request.frame
        drawn = torch.randn(known.shape, generator=generator).numpy()
        same = {"mask": frame.latent_mask, "masked_image_latents": known, "time_ids": frame.time_ids}
        return denoise(
            run,
            scheduler_of(self.folder),
            {**embeddings.rows, **{name: value.repeat(2, 0) for name, value in same.items()}},
            drawn if request.noise is None else request.noise,
            steps=request.steps,
            guidance=request.guidance,
            generator=generator,
            blend=None if self.folder.inpaints else Blend(known, frame.latent_mask),
        )


def centre(picture: Array, side: int) -> Array:
    """The square in the middle of a picture [1, 3, H, W] in −1…1, as an upscaler takes it: [1, 3, side, side] in 0…1.

    A picture that is smaller continues with its last pixels, as at the border of a picture that is enlarged.
    """
    short = [max(0, side - extent) for extent in picture.shape[2:]]
    large = np.pad(picture, ((0, 0), (0, 0), *((each // 2, each - each // 2) for each in short)), "edge")
    top, left = ((extent - side) // 2 for extent in large.shape[2:])
    square: Array = (np.clip(large[:, :, top : top + side, left : left + side], -1, 1) + 1) / 2
    return square


def to_bytes(picture: Array) -> Bytes:
    """[3, H, W] in −1…1 to [H, W, 3]; values that are not numbers become grey."""
    finite = np.nan_to_num(picture, nan=0.0, posinf=1.0, neginf=-1.0)
    pixels = ((np.clip(finite, -1, 1) + 1) * 127.5).round().astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(1, 2, 0))
