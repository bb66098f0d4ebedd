"""IP-Adapter (Ye et al. 2023) on UVE and CLIP embeddings. The denoiser is frozen, as there.

It has stage 2's updates, since most style pictures come with products.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from export.networks import image_attention
from export.networks.image_projector import ImageProjector
from training.config import Config
from training.core import diffusion, loop, networks, workers
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
        """What is trained: image layers and projector."""
        return nn.ModuleDict({"layers": self.layers, "projector": self.projector})


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


def build(config: Config, unet: UNet2DConditionModel) -> StyleDenoiser:
    """A frozen network with untrained image layers."""
    unet = unet.to(loop.device(), memory_format=loop.layout())
    layers = image_attention.install(unet).to(loop.device())
    return StyleDenoiser(unet, layers, networks.image_projector(config).to(loop.device()))


def train(config: Config) -> None:
    """Trains image layers and projector."""
    worker = workers.join()
    torch.manual_seed(config.seed)
    denoiser = build(config, product.load(config))
    denoiser.unet.requires_grad_(False)
    module = denoiser.module.train().requires_grad_(True)
    source = samples.Source(config, STAGE, config.diffusion.image_adapter, worker.count)
    embeddings, partners = styles.load(config), styles.Partners(source.specs)
    alpha_bar = diffusion.alphas(config)

    def loss_of(draw: int) -> tuple[Tensor, dict[str, float]]:
        sample = source.product_masks(draw, styleless=0.5)
        style = styles.conditions(embeddings, partners, sample.picks, source.generator(draw, "style"))

        def bound_predict(noisy: Tensor, timestep: Tensor) -> Tensor:
            return predict(denoiser, noisy, timestep, sample, style)

        return diffusion.v_loss(config, bound_predict, sample.latent, sample.mask, alpha_bar, draw)

    trainable = diffusion.Trainable(module, list(module.parameters()))
    diffusion.fit(config, STAGE, config.diffusion.image_adapter, trainable, loss_of, worker)


def load(config: Config, unet: UNet2DConditionModel | None = None) -> StyleDenoiser:
    """The averaged weights on `unet`; None for stage 2's, which makes backgrounds."""
    denoiser = build(config, product.load(config) if unet is None else unet)
    loop.load_average(config, STAGE, denoiser.module)
    denoiser.unet.eval().requires_grad_(False)
    return denoiser


def without_image_layers(config: Config, unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """The same weights in a UNet that takes text alone."""
    plain = networks.unet(config)
    plain.load_state_dict({name: value for name, value in unet.state_dict().items() if ".processor." not in name})
    return plain


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
