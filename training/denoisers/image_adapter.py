"""IP-Adapter (Ye et al. 2023) on concatenated UVE and CLIP embeddings, trained jointly with the stage-2 task."""

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
class Adapted:
    """The denoiser with image attention, its image layers and the projector that makes their tokens."""

    unet: UNet2DConditionModel
    layers: nn.ModuleDict
    projector: ImageProjector

    @property
    def module(self) -> nn.ModuleDict:
        """Everything in one, for checkpoints; the image layers are parts of the UNet."""
        return nn.ModuleDict({"unet": self.unet, "projector": self.projector})


def predict(
    adapted: Adapted, noisy: Tensor, timestep: Tensor, sample: samples.Sample, style: tuple[Tensor, Tensor, Tensor]
) -> Tensor:
    """The prediction under captions and style embeddings (UVE, CLIP, scale)."""
    tokens = adapted.projector(style[0], style[1])
    return predict_tokens(adapted.unet, noisy, timestep, sample, tokens, style[2])


def predict_tokens(
    unet: UNet2DConditionModel, noisy: Tensor, timestep: Tensor, sample: samples.Sample, tokens: Tensor, scale: Tensor
) -> Tensor:
    """The prediction under captions and ready image tokens [B, N, D], each row with its scale [B, 1]."""
    planes = torch.cat([noisy, sample.mask, sample.masked], dim=1)
    return base.predict(unet, planes, timestep, (sample.text.states, tokens, scale), sample)


def build(config: Config) -> tuple[Adapted, list[nn.Parameter]]:
    """Stage 2's network with untrained image layers; the parameters to train, low-rank updates among them."""
    unet, parameters = product.load_adapted(config)
    for parameter in parameters:
        parameter.requires_grad_(True)
    layers = image_attention.install(unet).to(loop.device())
    projector = networks.image_projector(config).to(loop.device())
    return Adapted(unet, layers, projector), [*parameters, *layers.parameters(), *projector.parameters()]


def train(config: Config) -> None:
    """Trains image layers, projector and stage 2's updates together."""
    share = workers.join()
    torch.manual_seed(config.seed)
    adapted, parameters = build(config)
    module = adapted.module.train()
    source = samples.Source(config, STAGE, config.diffusion.image_adapter, share.count)
    embeddings, partners = styles.load(config), styles.Partners(source.specs)
    alpha_bar = diffusion.alphas(config)

    def loss_of(draw: int) -> tuple[Tensor, dict[str, float]]:
        sample = source.product(draw, styleless=0.5)
        style = styles.conditions(embeddings, partners, sample.picks, source.generator(draw, "style"))

        def predicted(noisy: Tensor, timestep: Tensor) -> Tensor:
            return predict(adapted, noisy, timestep, sample, style)

        return diffusion.v_loss(config, predicted, sample.latent, sample.mask, alpha_bar, draw)

    diffusion.fit(config, STAGE, config.diffusion.image_adapter, diffusion.Trained(module, parameters), loss_of, share)


def load_apart(config: Config) -> Adapted:
    """The averaged weights, low-rank updates apart."""
    adapted, _ = build(config)
    loop.load_average(config, STAGE, adapted.module)
    return adapted


def load(config: Config) -> Adapted:
    """The averaged weights, low-rank updates fused."""
    adapted = load_apart(config)
    lora.fuse(adapted.unet)
    return adapted


def untrained(config: Config) -> Adapted:
    """The same networks with random weights."""
    unet = networks.unet(config)
    return Adapted(unet, image_attention.install(unet), networks.image_projector(config))


def no_tokens(config: Config, count: int) -> tuple[Tensor, Tensor]:
    """Image tokens and scale of `count` rows without a style picture: zeros."""
    shape = (count, config.denoiser.image_tokens, config.text.cross_attention_dim)
    return torch.zeros(shape, device=loop.device()), torch.zeros(count, 1, device=loop.device())


if __name__ == "__main__":
    loop.run_stage(__doc__, train)
