"""`vae_decoder`: latents back to a picture, with the masked original and the mask beside them."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AsymmetricAutoencoderKL
from torch import nn

from export.contract import Size, TensorSpec
from export.layout import KINDS
from export.models import vae
from export.models.component import LARGE_ON_A_CPU, Component, ComponentModule, Inputs, rand, rand_mask


class ConditionedDecoder(nn.Module):
    """diffusers' MaskConditionDecoder with its features looked up by channels and scale.

    The original finds the condition encoder's features in a dictionary keyed by the printed shape, batch and sizes
    included, which cannot be traced for sizes that vary. Channels and the halvings so far name the same feature; as in
    the original, the last feature of a key wins.
    """

    def __init__(self, decoder: Any) -> None:
        super().__init__()
        self.decoder = decoder

    def features(self, masked_image: torch.Tensor) -> dict[tuple[int, int], torch.Tensor]:
        """The condition encoder's features before each ReLU, by (channels, pixels per feature)."""
        features, x, scale = {}, masked_image, 1
        for layer in self.decoder.condition_encoder.layers:
            x = layer(x)
            scale *= layer.stride[0]
            features[layer.out_channels, scale] = x
            x = torch.relu(x)
        return features

    def forward(self, z: torch.Tensor, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        decoder = self.decoder
        features = self.features((1 - mask) * image)
        sample = decoder.mid_block(decoder.conv_in(z), None)
        scale = 2 ** sum(block.upsamplers is not None for block in decoder.up_blocks)
        for block in decoder.up_blocks:
            sample = block(self.blend(sample, features, mask, scale), None)
            scale //= 2 if block.upsamplers is not None else 1
        sample = self.blend(sample, features, mask, scale)
        decoded: torch.Tensor = decoder.conv_out(decoder.conv_act(decoder.conv_norm_out(sample)))
        return decoded

    @staticmethod
    def blend(
        sample: torch.Tensor, features: dict[tuple[int, int], torch.Tensor], mask: torch.Tensor, scale: int
    ) -> torch.Tensor:
        """Takes the condition's features where the mask is 0, the decoder's where it is 1."""
        # A stride, not interpolate(mode="nearest"): for whole factors they pick the same pixels, exactly.
        at_scale = mask[:, :, ::scale, ::scale]
        return sample * at_scale + features[sample.shape[1], scale] * (1 - at_scale)


class VaeDecoder(nn.Module):
    """`latents` [B, 4, h, w] (scaled), `image` [B, 3, H, W], `mask` [B, 1, H, W] → `decoded` [B, 3, H, W] in −1…1."""

    def __init__(self, model: vae.Vae) -> None:
        super().__init__()
        self.post_quant_conv = model.post_quant_conv if model.post_quant_conv is not None else nn.Identity()
        self.conditioned = isinstance(model, AsymmetricAutoencoderKL)
        self.decoder = ConditionedDecoder(model.decoder) if self.conditioned else model.decoder
        self.scale = float(model.config.scaling_factor)
        self.shift = float(model.config.get("shift_factor") or 0)

    def forward(self, latents: torch.Tensor, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        z = self.post_quant_conv(latents / self.scale + self.shift if self.shift else latents / self.scale)
        if self.conditioned:
            conditioned: torch.Tensor = self.decoder(z, image, mask)
            return conditioned.clamp(-1, 1)
        # A plain VAE cannot use them, but an input that leads nowhere would be dropped from the graph, and the
        # repository's contract asks for all three.
        unused = (image[:, :1, :1, :1] + mask[:, :, :1, :1]) * 0
        decoded: torch.Tensor = self.decoder(z) + unused
        return decoded.clamp(-1, 1)


def prepare(model: vae.Vae) -> ComponentModule:
    """Wraps the decoding half of a VAE for export."""
    pixel_factor = vae.factor(model)
    channels = int(model.config.latent_channels)

    def sample(rows: int, size: Size, generator: torch.Generator) -> Inputs:
        latents = torch.randn(
            rows, channels, size.height // pixel_factor, size.width // pixel_factor, generator=generator
        )
        image = rand(generator, rows, 3, size.height, size.width)
        return latents, image, rand_mask(generator, rows, size.height, size.width)

    return ComponentModule(
        name="vae_decoder",
        module=VaeDecoder(model).eval(),
        inputs=(
            TensorSpec("latents", "FP32", (channels, *vae.latent_pixels(pixel_factor))),
            TensorSpec("image", "FP32", (3, *vae.pixels())),
            TensorSpec("mask", "FP32", (1, *vae.pixels())),
        ),
        outputs=(TensorSpec("decoded", "FP32", (3, *vae.pixels())),),
        sample=sample,
        # The most expensive row after the denoiser's, and no picture is shown before it.
        parameters=LARGE_ON_A_CPU,
        instances=2,
    )


COMPONENT = Component(KINDS["vae_decoder"], vae.load, prepare)
