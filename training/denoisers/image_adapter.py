"""IP-Adapter (Ye et al. 2023) on UVE and CLIP embeddings, trained jointly with stage 2's updates."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from export.networks import image_attention
from export.networks.image_projector import ImageProjector
from training.config import Config
from training.core import diffusion, loop, lora, networks, workers
from training.denoisers import base, product
from training.encoded import samples, styles

STAGE = "image_adapter"


@dataclass(frozen=True)
class StyleDenoiser:
    """A denoiser that takes style pictures: the UNet, its image attention layers and the projector of image tokens."""

    unet: UNet2DConditionModel
    layers: nn.ModuleDict
    projector: ImageProjector

    @property
    def module(self) -> nn.ModuleDict:
        """UNet and projector in one module, for the checkpoint; the image layers belong to the UNet."""
        return nn.ModuleDict({"unet": self.unet, "projector": self.projector})


def predict(
    denoiser: StyleDenoiser,
    noisy: Tensor,
    timestep: Tensor,
    sample: samples.Sample,
    style: tuple[Tensor, Tensor, Tensor],
) -> Tensor:
    """The prediction with captions and style embeddings (UVE, CLIP, scale)."""
    tokens = denoiser.projector(style[0], style[1])
    return predict_tokens(denoiser.unet, noisy, timestep, sample, tokens, style[2])


def predict_tokens(
    unet: UNet2DConditionModel, noisy: Tensor, timestep: Tensor, sample: samples.Sample, tokens: Tensor, scale: Tensor
) -> Tensor:
    """The prediction with captions and image tokens [B, N, D], each row with its scale [B, 1]."""
    planes = torch.cat([noisy, sample.mask, sample.masked], dim=1)
    return base.predict(unet, planes, timestep, (sample.text.states, tokens, scale), sample)


def build(config: Config) -> tuple[StyleDenoiser, list[nn.Parameter]]:
    """Stage 2's network with untrained image layers, and the parameters to train, including the low-rank updates."""
    unet, parameters = product.load_unfused(config)
    for parameter in parameters:
        parameter.requires_grad_(True)
    layers = image_attention.install(unet).to(loop.device())
    projector = networks.image_projector(config).to(loop.device())
    return StyleDenoiser(unet, layers, projector), [*parameters, *layers.parameters(), *projector.parameters()]


def train(config: Config) -> None:
    """Trains image layers, projector and stage 2's updates."""
    worker = workers.join()
    torch.manual_seed(config.seed)
    denoiser, parameters = build(config)
    module = denoiser.module.train()
    source = samples.Source(config, STAGE, config.diffusion.image_adapter, worker.count)
    embeddings, partners = styles.load(config), styles.Partners(source.specs)
    alpha_bar = diffusion.alphas(config)

    def loss_of(draw: int) -> tuple[Tensor, dict[str, float]]:
        sample = source.product_masks(draw, styleless=0.5)
        style = styles.conditions(embeddings, partners, sample.picks, source.generator(draw, "style"))

        def bound_predict(noisy: Tensor, timestep: Tensor) -> Tensor:
            return predict(denoiser, noisy, timestep, sample, style)

        return diffusion.v_loss(config, bound_predict, sample.latent, sample.mask, alpha_bar, draw)

    diffusion.fit(
        config, STAGE, config.diffusion.image_adapter, diffusion.Trainable(module, parameters), loss_of, worker
    )


def load_unfused(config: Config) -> StyleDenoiser:
    """The averaged weights with unfused low-rank updates."""
    denoiser, _ = build(config)
    loop.load_average(config, STAGE, denoiser.module)
    return denoiser


def load(config: Config) -> StyleDenoiser:
    """The averaged weights with fused low-rank updates."""
    denoiser = load_unfused(config)
    lora.fuse(denoiser.unet)
    return denoiser


def untrained(config: Config) -> StyleDenoiser:
    """The same networks with random weights."""
    unet = networks.unet(config)
    return StyleDenoiser(unet, image_attention.install(unet), networks.image_projector(config))


def no_tokens(config: Config, count: int) -> tuple[Tensor, Tensor]:
    """Image tokens and scale for `count` rows without a style picture: zeros."""
    shape = (count, config.denoiser.image_tokens, config.text.cross_attention_dim)
    return torch.zeros(shape, device=loop.device()), torch.zeros(count, 1, device=loop.device())


if __name__ == "__main__":
    loop.run_stage(__doc__, train)
