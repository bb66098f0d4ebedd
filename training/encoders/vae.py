"""Trains the autoencoder on whole and masked pictures; its decoder blends background and product at the border.

`training.encoders.decoder` then trains the decoder further, and leaves the encoder, and so the latents, as they are.
"""

from __future__ import annotations

import json
import logging

import numpy as np
import torch
from diffusers import AsymmetricAutoencoderKL
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d, pixel_unshuffle

from training.config import Config
from training.core import loop, muon, networks, workers
from training.data import shards
from training.data.pictures import draw_batch, draw_crops, masked_picture, pictures_to_tensor, random_mask

log = logging.getLogger(__name__)


def edge_loss(decoded: Tensor, real: Tensor, scales: int = 3) -> Tensor:
    """L1 between the differences of neighbouring pixels at several scales; it weighs blur more than a shift in tone."""
    total = decoded.new_zeros(())
    for _ in range(scales):
        total = total + (decoded.diff(dim=-1) - real.diff(dim=-1)).abs().mean()
        total = total + (decoded.diff(dim=-2) - real.diff(dim=-2)).abs().mean()
        decoded, real = avg_pool2d(decoded, 2), avg_pool2d(real, 2)
    return total / scales


OPPONENT = ((0.667, 0.667, 0.667), (1.7, 0.0, -1.7), (-1.5, 3.0, -1.5))
"""Brightness, red minus blue, green minus both: almost independent in these pictures, each of about unit variance."""
FAINTEST = 0.4
"""Least standard deviation of a guided channel: fainter ones would vanish in the denoiser's noise."""


class Guide:
    """The target of every latent channel: the colour of each 8x8 block, then the principal components of its detail.

    Latents then look like a small picture with its gradients and edges, which a small denoiser learns fastest. The
    components' spread is the square root of what it is in the pictures, so that detail is neither as loud as colour
    nor drowned by the noise of diffusion.
    """

    def __init__(self, images: Tensor, channels: int) -> None:
        """Fits the components of `channels` - 3 channels on pictures [N, 3, H, W]."""
        detail = _detail(images).movedim(1, -1).flatten(0, -2)
        variance, axes = torch.linalg.eigh((detail.T @ detail / len(detail)).double())
        spread = variance.flip(0)[: channels - len(OPPONENT)].clamp(min=1e-6).sqrt()
        guided = (spread / spread[0]).sqrt().clamp(min=FAINTEST)
        self._components = (axes.flip(1)[:, : len(spread)] * (guided / spread)).T.float().to(loop.device())

    def __call__(self, image: Tensor) -> Tensor:
        """[B, 3, H, W] to [B, channels, H/8, W/8]."""
        colours = torch.einsum("oc,bchw->bohw", image.new_tensor(OPPONENT), avg_pool2d(image, 8))
        return torch.cat([colours, torch.einsum("oc,bchw->bohw", self._components, _detail(image))], dim=1)


def _detail(image: Tensor) -> Tensor:
    """What each 8x8 block shows beyond its colour: [B, 3, H, W] to [B, 192, H/8, W/8]."""
    return pixel_unshuffle(image - interpolate(avg_pool2d(image, 8), scale_factor=8.0), 8)


def batch(
    config: Config, pictures: shards.PictureSet, draw_number: int, worker: workers.Worker, decoder_only: bool = False
) -> tuple[Tensor, Tensor]:
    """Pictures and masks of one worker's part of a step; every part has its own number, and so its own crops.

    Most masks keep the product; the others cover the whole picture. While the encoder learns, a quarter of the samples
    are masked pictures, because the encoder gets both whole and masked pictures later.
    """
    rng = loop.generator(config, "vae", draw_number)
    # Two of three steps use many small crops. The third uses fewer crops of twice the size, because normalisation
    # depends on the extent. Decoder training doubles both sizes, up to whole pictures.
    widening = (2 if draw_number // worker.count % 3 == 0 else 1) * (2 if decoder_only else 1)
    size, count = config.vae.crop * widening, max(1, round(config.vae.batch / worker.count / widening**1.6))
    half = rng.random() < 0.25 and size <= config.data.size // 2
    image, mask = draw_crops(pictures, rng, count, 2 * size if half else size)
    if half:
        image, mask = avg_pool2d(image, 2), avg_pool2d(mask, 2)
    for row in range(count):
        kind = rng.random()
        if rng.random() < 0.15:
            mask[row, 0] = torch.from_numpy(random_mask(rng, size, size))
        if kind > 0.75 and not decoder_only:
            image[row] = masked_picture(image[row], mask[row])
        if kind > 0.5 + 0.25 * decoder_only:
            mask[row] = 1
    return image.to(loop.device()).contiguous(memory_format=torch.channels_last), mask.to(loop.device())


def grid_energy(picture: Tensor, block: int = 8) -> Tensor:
    """Share of a picture's gradient energy at every place of the grid of blocks, columns and rows: [2, block].

    It is 1 everywhere without a pattern, and more at a pattern's lines.
    """
    across = picture.diff(dim=-1).square().mean(dim=(0, 1, 2))
    down = picture.diff(dim=-2).square().mean(dim=(0, 1, 3))
    lines = [[line[place::block].mean() for place in range(block)] for line in (across, down)]
    energy = torch.stack([torch.stack(places) for places in lines]) + 1e-8
    return energy / energy.mean(dim=1, keepdim=True)


def block_loss(decoded: Tensor, real: Tensor) -> Tensor:
    """Squared distance between the logarithms of both `grid_energy`: the pattern alone, whatever the sharpness."""
    return (grid_energy(decoded.float()).log() - grid_energy(real.float()).log()).square().mean()


def border_band(mask: Tensor, reach: int = 3) -> Tensor:
    """1 within `reach` pixels of the border between background and product, else 0: [B, 1, H, W]."""
    wide = 2 * reach + 1
    return (max_pool2d(mask, wide, 1, reach) * max_pool2d(1 - mask, wide, 1, reach)).gt(0.25).float()


def seam_loss(decoded: Tensor, real: Tensor, mask: Tensor) -> Tensor:
    """L1 on the background side of the border band, into which the decoder must not smear the product."""
    place = border_band(mask) * mask
    return ((decoded - real).abs() * place).sum() / (3 * place.sum()).clamp(min=1)


def reconstruction(config: Config, decoded: Tensor, real: Tensor) -> Tensor:
    """The decoder's loss."""
    smooth = config.vae.edge_weight * edge_loss(decoded, real) + config.vae.block_weight * block_loss(decoded, real)
    return (decoded - real).abs().mean() + smooth


def from_published(config: Config) -> AsymmetricAutoencoderKL:
    """An autoencoder whose layers start from the published ones wherever their shapes agree."""
    vae = networks.vae(config)
    published = config.paths.published / "vae" / "diffusion_pytorch_model.safetensors"
    if published.exists():
        own, weights = vae.state_dict(), load_file(published)
        fitting = {name: value.float() for name, value in weights.items() if own[name].shape == value.shape}
        vae.load_state_dict(fitting, strict=False)
        log.info("vae: %d of %d tensors start from the published weights", len(fitting), len(own))
    return vae


def train(config: Config) -> AsymmetricAutoencoderKL:
    """Trains encoder and decoder together."""
    worker = workers.join()
    torch.manual_seed(config.seed)
    vae = from_published(config).to(loop.device(), memory_format=torch.channels_last)
    loop.plain_attention(vae)
    optimiser = muon.optimiser(vae, config.vae.learning_rate)
    average = loop.Average(vae, 0.995)
    run = loop.Run(config, "vae", vae=vae, optimiser=optimiser, average=average)
    run.resume()
    pictures = shards.load(config, "scene")
    some = np.arange(min(config.vae.scale_pictures, len(pictures.images[0])))
    target = Guide(pictures_to_tensor(pictures.at(some)[0]), config.vae.latent_channels)

    def body(step: int) -> dict[str, float]:
        nonlocal pictures
        if step % 500 == 0:
            # Shards that were rendered meanwhile.
            pictures = shards.load(config, "scene")
        image, mask = batch(config, pictures, step * worker.count + worker.rank, worker)
        optimiser.param_groups[0]["lr"] = run.learning_rate(config.vae.steps, config.vae.learning_rate)
        with loop.half_precision():
            posterior = vae.encode(image).latent_dist
            decoded = vae.decode(posterior.sample(), image=image, mask=mask).sample
        loss = reconstruction(config, decoded.float(), image)
        kl = posterior.kl().mean() / posterior.mean[0].numel()
        guide = ((posterior.mean.float() - target(image)) ** 2).mean()
        weight = max(1 - step / config.vae.guide_steps, config.vae.guide_weight)
        optimiser.zero_grad()
        (loss + config.vae.kl_weight * kl + weight * guide).backward()
        worker.average_gradients(vae.parameters())
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimiser.step()
        average.update(vae)
        return {
            "loss": loss.item(),
            "l1": (decoded - image).abs().mean().item(),
            "kl": kl.item(),
            "guide": guide.item(),
        }

    run.loop(config.vae.steps, body, writes=worker.leads)
    vae.load_state_dict(average.weights)
    if worker.leads:
        level(vae, draw_batch(pictures, loop.generator(config, "level", 0), config.vae.scale_pictures)[0])
        measure_scale(config, vae, pictures)
        torch.save(vae.state_dict(), run.folder / "encoder.pt")
    return vae


@torch.no_grad()
def level(vae: AsymmetricAutoencoderKL, pictures: Tensor) -> None:
    """Brings the spread of the latent channels nearer to each other; what the autoencoder computes stays the same.

    Training shrinks faint channels, which noise of one strength would then hide until the last steps of sampling. Each
    channel's spread becomes its square root, relative to the strongest; the 1x1 convolutions at the latents take it.
    """
    spread = encoded_means(vae, pictures).std((0, 2, 3))
    factor = (spread / spread.max()).clamp(min=1e-4) ** -0.5
    inner, outer = vae.quant_conv, vae.post_quant_conv
    both = torch.cat([factor, torch.ones_like(factor)])
    inner.weight.mul_(both[:, None, None, None])
    inner.bias.mul_(both)
    inner.bias[len(factor) :] += 2 * factor.log()
    outer.weight.div_(factor[None, :, None, None])


def encoded_means(vae: AsymmetricAutoencoderKL, pictures: Tensor) -> Tensor:
    """The means of the latents of pictures [N, 3, H, W], in parts."""
    return torch.cat([vae.encode(part).latent_dist.mean for part in torch.split(pictures.to(loop.device()), 8)])


@torch.no_grad()
def measure_scale(config: Config, vae: AsymmetricAutoencoderKL, pictures: shards.PictureSet) -> float:
    """1 / std of the latents: the scaling factor, written to a file for all later stages."""
    image, _, _ = draw_batch(pictures, loop.generator(config, "scale", 0), config.vae.scale_pictures)
    mean = encoded_means(vae, image)
    scale = 1 / float(mean.std())
    log.info("latents: mean %s std %s", mean.mean((0, 2, 3)).tolist(), mean.std((0, 2, 3)).tolist())
    (config.paths.work / "vae" / "scale.json").write_text(json.dumps({"scaling_factor": scale}))
    return scale


def load(config: Config) -> AsymmetricAutoencoderKL:
    """The autoencoder as trained so far: the encoder with the latest decoder."""
    folder = config.paths.work / "vae"
    vae = networks.vae(config)
    vae.load_state_dict(torch.load(folder / "encoder.pt", weights_only=True, map_location="cpu"))
    later = config.paths.work / "decoder" / "decoder.pt"
    if later.exists():
        vae.decoder.load_state_dict(torch.load(later, weights_only=True, map_location="cpu"))
    vae.register_to_config(scaling_factor=json.loads((folder / "scale.json").read_text())["scaling_factor"])
    return vae.eval()


def latest(config: Config) -> AsymmetricAutoencoderKL:
    """The averaged weights of the last checkpoint, also of a training that is not finished."""
    if (config.paths.work / "decoder" / "decoder.pt").exists():
        return load(config)
    return loop.load_average(config, "vae", networks.vae(config))


if __name__ == "__main__":
    loop.run_stage(__doc__, train)
