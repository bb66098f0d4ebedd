"""A weights folder as torch modules, and the pictures that the request walk of `export.walk` makes with them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypedDict, Unpack

import diffusers
import torch
from diffusers import AsymmetricAutoencoderKL, SD3Transformer2DModel, UNet2DConditionModel
from torch import Tensor
from torch.nn.functional import normalize
from transformers import (
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionModelWithProjection,
    T5EncoderModel,
)

from export.networks import image_attention
from export.networks.image_projector import ImageProjector
from export.networks.reward import RewardModel
from export.networks.segmenter import Segmenter
from export.networks.uve import UVE
from export.walk.denoise import denoise
from export.walk.embeddings import T5, joined_states
from export.walk.runner import Array, Tensors
from training.core import lora
from training.data.pictures import latent_mask, masked_picture
from training.encoders import image_encoder
from training.publish.weights_folder import WeightsFolder

Style = Sequence[tuple[Tensor, float]]
"""Style pictures [3, H, W] in [-1, 1], each with its weight."""


@dataclass(frozen=True)
class Embeddings:
    """Of B prompts: text states [B, T, D], pooled text [B, P], image tokens [B, N, D] and their scale [B, 1]."""

    states: Tensor
    pooled: Tensor
    tokens: Tensor
    scale: Tensor


EMBEDDING_INPUTS = {
    "encoder_hidden_states": "states",
    "text_embeds": "pooled",
    "image_tokens": "tokens",
    "image_scale": "scale",
}
"""The field of `Embeddings` for each of the denoiser's inputs."""


class Denoiser(Protocol):
    """Predicts for noisy latents, masks and masked latents [B, 9, h, w] at one timestep, or one per row [B]."""

    def __call__(self, rows: Tensor, timestep: Tensor, embeddings: Embeddings) -> Tensor: ...


@dataclass(frozen=True)
class UnetDenoiser:
    """The UNet, with image attention if `takes_images`."""

    unet: UNet2DConditionModel
    takes_images: bool

    def __call__(self, rows: Tensor, timestep: Tensor, embeddings: Embeddings) -> Tensor:
        """The v-prediction [B, 4, h, w]."""
        c, (height, width) = embeddings, rows.shape[-2:]
        ids = torch.tensor([[8 * height, 8 * width, 0, 0, 8 * height, 8 * width]], dtype=torch.float32)
        added = {"text_embeds": c.pooled, "time_ids": ids.expand(len(rows), -1)}
        text: Any = (c.states, c.tokens, c.scale) if self.takes_images else c.states
        # The base has four input channels, the noisy latents.
        rows = rows[:, : self.unet.config["in_channels"]]
        return torch.as_tensor(self.unet(rows, timestep, text, added_cond_kwargs=added).sample)


@dataclass(frozen=True)
class TransformerDenoiser:
    """The DiT."""

    transformer: SD3Transformer2DModel

    def __call__(self, rows: Tensor, timestep: Tensor, embeddings: Embeddings) -> Tensor:
        """The velocity [B, 4, h, w]."""
        output = self.transformer(
            hidden_states=rows,
            timestep=timestep.expand(len(rows)),
            encoder_hidden_states=embeddings.states,
            pooled_projections=embeddings.pooled,
        )
        return torch.as_tensor(output.sample)


@dataclass(frozen=True)
class DenoiserRunner:
    """A denoiser as the runner of a walk: named arrays in, named arrays out."""

    denoiser: Denoiser

    def __call__(self, inputs: Mapping[str, Array]) -> Tensors:
        """The prediction `noise_pred` [B, 4, h, w]; `known` are masks and masked latents [B, 5, h, w]."""
        planes = {name: torch.from_numpy(value) for name, value in inputs.items()}
        embeddings = Embeddings(**{field: planes[name] for name, field in EMBEDDING_INPUTS.items()})
        rows = torch.cat([planes["sample"], planes["known"]], dim=1)
        return {"noise_pred": self.denoiser(rows, planes["timestep"][:, 0], embeddings).float().numpy()}


@dataclass(frozen=True)
class ImageEncoders:
    """Turns style pictures into image tokens."""

    uve: UVE
    clip: CLIPVisionModelWithProjection
    projector: ImageProjector

    def tokens(self, style: Style, use: tuple[str, ...] = ("uve", "clip")) -> Tensor:
        """Image tokens [N, D] of weighted style pictures, from the encoders named in `use`."""
        sums = [torch.zeros(1, self.uve.config["dim"]), torch.zeros(1, self.clip.config.projection_dim)]
        for picture, weight in style:
            if "uve" in use:
                sums[0] = sums[0] + weight * self.uve(picture[None])[0]
            if "clip" in use:
                sums[1] = sums[1] + weight * image_encoder.embed(self.clip, picture[None])
        return torch.as_tensor(self.projector(normalize(sums[0], dim=-1), normalize(sums[1], dim=-1))[0])


class Sampling(TypedDict, total=False):
    """Sampling options; those left out are the defaults of the pipeline's folder."""

    guidance: float
    steps: int
    styles: list[Tensor] | None
    """Image tokens [N, D], one set per picture."""
    image_scale: float


@dataclass(frozen=True)
class Pipeline:
    """All networks of one pipeline, in fp32."""

    tokenizer: CLIPTokenizer
    text_l: CLIPTextModel
    text_g: CLIPTextModelWithProjection
    t5: T5EncoderModel | None
    tokenizer_t5: CLIPTokenizer | None
    images: ImageEncoders | None
    vae: AsymmetricAutoencoderKL
    denoiser: Denoiser
    scheduler: Any
    reward: RewardModel
    segmenter: Segmenter
    guidance_scale: float
    steps: int

    @classmethod
    def load(cls, path: Path, task: str | None = "background") -> Pipeline:
        """Reads a weights folder; its denoiser has the adapters of `task` fused, None for none."""
        folder = WeightsFolder(path)
        defaults = folder.settings["defaults"]
        dit = (path / "transformer").is_dir()
        images = None
        if not dit and folder.find("ip_adapter"):
            images = ImageEncoders(
                folder.read(UVE, "image_encoder_uve"),
                folder.read(CLIPVisionModelWithProjection, "image_encoder"),
                folder.read(ImageProjector, "image_projector"),
            )
        scheduler = json.loads((path / "scheduler" / "scheduler_config.json").read_text())["_class_name"]
        return cls(
            tokenizer=CLIPTokenizer.from_pretrained(folder.find("tokenizer")),
            text_l=folder.read(CLIPTextModel, "text_encoder"),
            text_g=folder.read(CLIPTextModelWithProjection, "text_encoder_2"),
            t5=folder.read(T5EncoderModel, "text_encoder_3") if dit else None,
            tokenizer_t5=CLIPTokenizer.from_pretrained(folder.find("tokenizer_3")) if dit else None,
            images=images,
            vae=folder.read(AsymmetricAutoencoderKL, "vae"),
            denoiser=_denoiser(folder, task),
            scheduler=getattr(diffusers, scheduler).from_pretrained(path / "scheduler"),
            reward=folder.read(RewardModel, "reward"),
            segmenter=folder.read(Segmenter, "segmenter"),
            guidance_scale=float(defaults["guidance_scale"]),
            steps=int(defaults["steps"]),
        )

    def with_denoiser(self, denoiser: Denoiser) -> Pipeline:
        """The same pipeline with another denoiser: another stage's, or one with a LoRA."""
        return replace(self, denoiser=denoiser)

    @torch.no_grad()
    def encode(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Hidden states [B, T, D] in the form that this denoiser takes, and pooled embeddings [B, P]."""
        ids = _ids(self.tokenizer, texts)
        out_g = self.text_g(ids, output_hidden_states=True)
        if self.t5 is not None and self.tokenizer_t5 is not None:
            states = {T5: self.t5(_ids(self.tokenizer_t5, texts)).last_hidden_state}
        else:
            out_l = self.text_l(ids, output_hidden_states=True)
            states = {"text_encoder_l": out_l.hidden_states[-2], "text_encoder_g": out_g.hidden_states[-2]}
        joined = joined_states({role: value.float().numpy() for role, value in states.items()})
        return torch.from_numpy(joined), out_g.text_embeds

    def embeddings(self, texts: list[str], styles: list[Tensor] | None, image_scale: float) -> Embeddings:
        """Embeddings of prompts; `styles` are image tokens [N, D], one set per prompt."""
        states, pooled = self.encode(texts)
        if styles is None:
            shape = (len(texts), self.images.projector.config["tokens"] if self.images else 4, states.shape[-1])
            return Embeddings(states, pooled, torch.zeros(shape), torch.zeros(len(texts), 1))
        return Embeddings(states, pooled, torch.stack(styles), torch.full((len(texts), 1), image_scale))

    @torch.no_grad()
    def pictures(
        self,
        texts: list[str],
        image: Tensor,
        mask: Tensor,
        seed: int,
        **options: Unpack[Sampling],
    ) -> Tensor:
        """Pictures in [-1, 1] with the background of `image` [B, 3, H, W] made where `mask` [B, 1, H, W] is 1.

        The product is not pasted over the result: its border is as the decoder blended it.
        """
        return self.decode(self.latents(texts, image, mask, seed, **options), image, mask)

    @torch.no_grad()
    def decode(self, latents: Tensor, image: Tensor, mask: Tensor) -> Tensor:
        """Pictures of clean latents; the decoder blends the product's border."""
        scale = float(self.vae.config["scaling_factor"])
        return torch.as_tensor(self.vae.decode(latents / scale, image=image, mask=mask).sample).clamp(-1, 1)

    @torch.no_grad()
    def latents(
        self,
        texts: list[str],
        image: Tensor,
        mask: Tensor,
        seed: int,
        **options: Unpack[Sampling],
    ) -> Tensor:
        """The clean latents [B, 4, h, w] of `pictures`."""
        count = len(texts)
        conditional = self.embeddings(texts, options.get("styles"), options.get("image_scale", 1.0))
        unconditional = self.embeddings([""], None, 0.0)
        known = self.mask_and_masked_latents(image, mask)
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(count, known.shape[1] - 1, *known.shape[2:], generator=generator)
        rows = {"known": torch.cat([known, known])}
        for name, field in EMBEDDING_INPUTS.items():
            row: Tensor = getattr(unconditional, field)
            rows[name] = torch.cat([getattr(conditional, field), row.expand(count, *row.shape[1:])])
        clean = denoise(
            DenoiserRunner(self.denoiser),
            self.scheduler,
            {name: value.float().numpy() for name, value in rows.items()},
            noise.numpy(),
            steps=options.get("steps", self.steps),
            guidance=options.get("guidance", self.guidance_scale),
            generator=generator,
        )
        return torch.from_numpy(clean)

    def mask_and_masked_latents(self, image: Tensor, mask: Tensor) -> Tensor:
        """Mask and masked latents [B, 5, h, w]."""
        encoded = self.vae.encode(masked_picture(image, mask)).latent_dist.mean
        return torch.cat([latent_mask(mask), encoded * float(self.vae.config["scaling_factor"])], dim=1)


def _ids(tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    length = tokenizer.model_max_length
    return torch.tensor(tokenizer(texts, padding="max_length", truncation=True, max_length=length).input_ids)


def _denoiser(folder: WeightsFolder, task: str | None) -> Denoiser:
    if (folder.path / "transformer").is_dir():
        return TransformerDenoiser(folder.read(SD3Transformer2DModel, "transformer"))
    unet = folder.read(UNet2DConditionModel, "unet")
    for name, weight in folder.settings.get("task_adapters", {}).get(task, {}).items():
        lora.add(unet, folder.path / folder.settings["adapters"][name], weight)
    adapter = folder.find("ip_adapter")
    if adapter:
        image_attention.load(image_attention.install(unet), adapter)
    return UnetDenoiser(unet.eval().requires_grad_(False), bool(adapter))
