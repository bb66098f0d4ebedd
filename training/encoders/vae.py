"""Trains the autoencoder: whole and masked pictures in, and a decoder that blends made background and kept product.

`python -m training.encoders.vae` trains both halves; with `--decoder` it goes on with the decoder alone, once the
latents have been fixed for the denoiser.
"""

from __future__ import annotations

import argparse
import json
import logging

import numpy as np
import torch
from diffusers import AsymmetricAutoencoderKL
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

from training.config import Config
from training.core import loop, networks, workers
from training.data import shards
from training.data.pictures import crop, draw, masked_picture, random_mask
from training.encoders.discriminator import PatchDiscriminator, balance, hinge

log = logging.getLogger(__name__)


def edge_loss(made: Tensor, real: Tensor, scales: int = 3) -> Tensor:
    """L1 between the differences of neighbouring pixels, at several scales: blur costs more than a shift in tone."""
    total = made.new_zeros(())
    for _ in range(scales):
        total = total + (made.diff(dim=-1) - real.diff(dim=-1)).abs().mean()
        total = total + (made.diff(dim=-2) - real.diff(dim=-2)).abs().mean()
        made, real = avg_pool2d(made, 2), avg_pool2d(real, 2)
    return total / scales


OPPONENT = ((0.667, 0.667, 0.667), (1.7, 0.0, -1.7), (-1.5, 3.0, -1.5))
"""Brightness, red against blue, green against both: nearly independent in these pictures, each of about unit spread."""


def colour_guide(image: Tensor) -> Tensor:
    """What the first three latent channels are drawn to: the colour of every 8x8 block, [B, 3, H/8, W/8].

    It makes latents that look like a small picture, which is what a small denoiser learns fastest.
    """
    return torch.einsum("oc,bchw->bohw", image.new_tensor(OPPONENT), avg_pool2d(image, 8))


def batch(
    config: Config, pictures: shards.PictureSet, draw_number: int, share: workers.Workers, decoder_only: bool = False
) -> tuple[Tensor, Tensor]:
    """Pictures and masks of one worker's share of a step; draws are numbered, so that no two see the same crops.

    Most keep their product and some are made wholly. While the encoder learns, a quarter are masked pictures made
    wholly, so that it meets both kinds of input it will be given.
    """
    rng = loop.generator(config, "vae", draw_number)
    # Small crops, many to a batch; every third step fewer and wider ones, because normalisation sees the extent.
    # The decoder finishes on crops twice as wide, up to whole pictures.
    widening = (2 if draw_number // share.count % 3 == 0 else 1) * (2 if decoder_only else 1)
    size, count = config.vae.crop * widening, max(1, round(config.vae.batch / share.count / widening**1.6))
    image, mask, _ = draw(pictures, rng, count)
    if rng.random() < 0.25 and size <= image.shape[-1] // 2:
        image, mask = avg_pool2d(image, 2), avg_pool2d(mask, 2)
    image, mask = crop(image, mask, rng, size)
    image, mask = image.clone(), mask.clone()
    for row in range(count):
        kind = rng.random()
        if rng.random() < 0.15:
            mask[row, 0] = torch.from_numpy(random_mask(rng, size, size))
        if kind > 0.75 and not decoder_only:
            image[row] = masked_picture(image[row], mask[row])
        if kind > 0.5 + 0.25 * decoder_only:
            mask[row] = 1
    return image.to(loop.device()).contiguous(memory_format=torch.channels_last), mask.to(loop.device())


def border_band(mask: Tensor, reach: int = 3) -> Tensor:
    """Where made background and kept product meet, `reach` pixels to either side: [B, 1, H, W] of 0 and 1."""
    wide = 2 * reach + 1
    return (max_pool2d(mask, wide, 1, reach) * max_pool2d(1 - mask, wide, 1, reach)).gt(0.25).float()


def seam_loss(made: Tensor, real: Tensor, mask: Tensor) -> Tensor:
    """L1 of the made side of the border band: the decoder knows the product there, and must not smear it outwards."""
    place = border_band(mask) * mask
    return ((made - real).abs() * place).sum() / (3 * place.sum()).clamp(min=1)


def reconstruction(config: Config, made: Tensor, real: Tensor) -> Tensor:
    """The decoder's loss."""
    return (made - real).abs().mean() + config.vae.edge_weight * edge_loss(made, real)


def train(config: Config) -> AsymmetricAutoencoderKL:
    """Trains encoder and decoder together."""
    share = workers.join()
    torch.manual_seed(config.seed)
    vae = networks.vae(config).to(loop.device(), memory_format=torch.channels_last)
    loop.plain_attention(vae)
    optimiser = torch.optim.AdamW(vae.parameters(), lr=config.vae.learning_rate, weight_decay=1e-3)
    average = loop.Average(vae, 0.995)
    run = loop.Run(config, "vae", vae=vae, optimiser=optimiser, average=average)
    run.resume()
    pictures = shards.load(config, "scene")

    def body(step: int) -> dict[str, float]:
        image, mask = batch(config, pictures, step * share.count + share.rank, share)
        optimiser.param_groups[0]["lr"] = loop.learning_rate(step, config.vae.steps, config.vae.learning_rate)
        with loop.half_precision():
            posterior = vae.encode(image).latent_dist
            made = vae.decode(posterior.sample(), image=image, mask=mask).sample
        loss = reconstruction(config, made.float(), image)
        kl = posterior.kl().mean() / posterior.mean[0].numel()
        guide = ((posterior.mean[:, :3].float() - colour_guide(image)) ** 2).mean()
        weight = max(1 - step / config.vae.guide_steps, config.vae.guide_weight)
        optimiser.zero_grad()
        (loss + config.vae.kl_weight * kl + weight * guide).backward()
        share.average_gradients(vae.parameters())
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimiser.step()
        average.update(vae)
        return {"loss": loss.item(), "l1": (made - image).abs().mean().item(), "kl": kl.item(), "guide": guide.item()}

    run.loop(config.vae.steps, body, writes=share.leads)
    vae.load_state_dict(average.weights)
    if share.leads:
        measure_scale(config, vae, pictures)
        torch.save(vae.state_dict(), run.folder / "encoder.pt")
    return vae


@torch.no_grad()
def measure_scale(config: Config, vae: AsymmetricAutoencoderKL, pictures: shards.PictureSet) -> float:
    """1 / std of the latents, which the denoiser works in; recorded for every later stage."""
    image, _, _ = draw(pictures, loop.generator(config, "scale", 0), 64)
    mean = torch.cat([vae.encode(part).latent_dist.mean for part in torch.split(image.to(loop.device()), 8)])
    scale = 1 / float(mean.std())
    log.info("latents: mean %s std %s", mean.mean((0, 2, 3)).tolist(), mean.std((0, 2, 3)).tolist())
    (config.paths.work / "vae" / "scale.json").write_text(json.dumps({"scaling_factor": scale}))
    return scale


def load(config: Config) -> AsymmetricAutoencoderKL:
    """The autoencoder as trained so far: the fixed encoder with the latest decoder."""
    folder = config.paths.work / "vae"
    vae = networks.vae(config)
    vae.load_state_dict(torch.load(folder / "encoder.pt", weights_only=True, map_location="cpu"))
    later = config.paths.work / "decoder" / "decoder.pt"
    if later.exists():
        vae.decoder.load_state_dict(torch.load(later, weights_only=True, map_location="cpu"))
    vae.register_to_config(scaling_factor=json.loads((folder / "scale.json").read_text())["scaling_factor"])
    return vae.eval()


def train_decoder(config: Config) -> None:
    """Goes on with the decoder alone, on slightly noisy latents: the denoiser's are never quite clean either."""
    share = workers.join()
    torch.manual_seed(config.seed)
    vae = load(config).to(loop.device(), memory_format=torch.channels_last).requires_grad_(False)
    loop.plain_attention(vae)
    decoder = vae.decoder.requires_grad_(True).train()
    rate = config.vae.learning_rate / 2
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=rate, weight_decay=1e-3)
    average = loop.Average(decoder, 0.995)
    critic = PatchDiscriminator().to(loop.device())
    critic_optimiser = torch.optim.AdamW(critic.parameters(), lr=rate, betas=(0.5, 0.9), weight_decay=1e-3)
    run = loop.Run(
        config, "decoder", decoder=decoder, optimiser=optimiser, average=average, critic=critic,
        critic_optimiser=critic_optimiser,
    )  # fmt: skip
    run.resume()
    pictures = shards.load(config, "scene")
    spread = 1 / float(vae.config["scaling_factor"])

    def body(step: int) -> dict[str, float]:
        draw_number = (step + config.vae.steps) * share.count + share.rank
        image, mask = batch(config, pictures, draw_number, share, decoder_only=True)
        optimiser.param_groups[0]["lr"] = loop.learning_rate(step, config.vae.decoder_steps, rate)
        with loop.half_precision():
            with torch.no_grad():
                latent = vae.encode(image).latent_dist.mean
                latent = latent + torch.randn_like(latent) * spread * float(
                    np.random.default_rng(draw_number).uniform(0, 0.1)
                )
            # The pipeline hands over the masked picture, which the decoder masks once more; soft borders notice.
            made = vae.decode(latent, image=masked_picture(image, mask), mask=mask).sample.float()
        seam = seam_loss(made, image, mask)
        loss = reconstruction(config, made, image) + config.vae.seam_weight * seam
        if step >= config.vae.critic_start:
            fooling = -critic(made).mean()
            loss = loss + config.vae.critic_weight * balance(loss, fooling, decoder.conv_out.weight) * fooling
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        share.average_gradients(decoder.parameters())
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimiser.step()
        average.update(decoder)
        if step >= config.vae.critic_start:
            blamed = hinge(critic(image), critic(made.detach()))
            critic_optimiser.zero_grad()
            blamed.backward()  # type: ignore[no-untyped-call]
            share.average_gradients(critic.parameters())
            critic_optimiser.step()
        if step % 100 == 99 and share.leads:
            torch.save(average.weights, run.folder / "decoder.pt")
        return {"loss": loss.item(), "l1": (made - image).abs().mean().item(), "seam": seam.item()}

    run.loop(config.vae.decoder_steps, body, writes=share.leads)
    if share.leads:
        torch.save(average.weights, run.folder / "decoder.pt")


def main() -> None:
    """Trains the autoencoder, or goes on with its decoder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--decoder", action="store_true", help="train the decoder only; the latents stay as they are")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    loop.start_logging()
    torch.set_num_threads(arguments.threads)
    (train_decoder if arguments.decoder else train)(Config())


if __name__ == "__main__":
    main()
