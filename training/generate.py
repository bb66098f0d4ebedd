"""The finished folder as a torch pipeline: the plain reference of what the cluster serves."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AsymmetricAutoencoderKL, DPMSolverMultistepScheduler, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from export.networks.reward import RewardModel
from export.networks.segmenter import Segmenter
from training.data import latent_mask, masked_picture


@dataclass(frozen=True)
class Pipeline:
    """Every network of the folder, in fp32."""

    tokenizer: CLIPTokenizer
    text_l: CLIPTextModel
    text_g: CLIPTextModelWithProjection
    vae: AsymmetricAutoencoderKL
    unet: UNet2DConditionModel
    scheduler: DPMSolverMultistepScheduler
    reward: RewardModel
    segmenter: Segmenter
    guidance_scale: float
    steps: int

    @classmethod
    def load(cls, folder: Path) -> Pipeline:
        """Reads a folder that `training.assemble` wrote."""
        defaults = json.loads((folder / "backdrop.json").read_text())["defaults"]
        full = {"torch_dtype": torch.float32}
        return cls(
            tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
            text_l=CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32).eval(),
            text_g=CLIPTextModelWithProjection.from_pretrained(folder / "text_encoder_2", dtype=torch.float32).eval(),
            vae=AsymmetricAutoencoderKL.from_pretrained(folder / "vae", **full).eval(),
            unet=UNet2DConditionModel.from_pretrained(folder / "unet", **full).eval(),
            scheduler=DPMSolverMultistepScheduler.from_pretrained(folder / "scheduler"),
            reward=RewardModel.from_pretrained(folder / "reward", **full).eval(),
            segmenter=Segmenter.from_pretrained(folder / "segmenter", **full).eval(),
            guidance_scale=float(defaults["guidance_scale"]),
            steps=int(defaults["steps"]),
        )

    @torch.no_grad()
    def encode(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Hidden states [B, T, D] and pooled embeddings [B, P] of prompts."""
        ids = self.tokenizer(texts, padding="max_length", truncation=True, max_length=self.tokenizer.model_max_length)
        batch = torch.tensor(ids.input_ids)
        out_l, out_g = (encoder(batch, output_hidden_states=True) for encoder in (self.text_l, self.text_g))
        return torch.cat([out_l.hidden_states[-2], out_g.hidden_states[-2]], dim=-1), out_g.text_embeds

    @torch.no_grad()
    def make(
        self,
        texts: list[str],
        image: Tensor,
        mask: Tensor,
        seed: int,
        guidance: float | None = None,
        steps: int | None = None,
    ) -> Tensor:
        """Makes the backgrounds of `image` [B, 3, H, W] where `mask` [B, 1, H, W] is 1; returns pictures in [-1, 1].

        The product is not pasted over the result: what comes back is the decoder's own blend.
        """
        guidance = self.guidance_scale if guidance is None else guidance
        count, height, width = len(texts), *image.shape[-2:]
        states, pooled = self.encode([*texts, ""])
        context = torch.cat([states[:-1], states[-1:].expand(count, -1, -1)])
        added = {
            "text_embeds": torch.cat([pooled[:-1], pooled[-1:].expand(count, -1)]),
            "time_ids": torch.tensor([[height, width, 0, 0, height, width]], dtype=torch.float32).expand(2 * count, -1),
        }
        scale = float(self.vae.config["scaling_factor"])
        masked = masked_picture(image, mask)
        known = torch.cat([latent_mask(mask), self.vae.encode(masked).latent_dist.mean * scale], dim=1)
        noise = torch.Generator().manual_seed(seed)
        latents = torch.randn(count, 4, height // 8, width // 8, generator=noise)
        self.scheduler.set_timesteps(self.steps if steps is None else steps)
        for t in self.scheduler.timesteps:
            rows = torch.cat([torch.cat([latents, known], dim=1)] * 2)
            out = self.unet(rows, t, encoder_hidden_states=context, added_cond_kwargs=added).sample
            asked, plain = out.chunk(2)
            latents = self.scheduler.step(plain + guidance * (asked - plain), t, latents).prev_sample
        return torch.as_tensor(self.vae.decode(latents / scale, image=image, mask=mask).sample).clamp(-1, 1)
