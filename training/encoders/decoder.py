"""Trains the decoder alone, against a critic, on slightly noisy latents: a denoiser's latents are not quite clean.

The encoder, and so the latents, stay as they are.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from training.config import Config
from training.core import loop, muon, workers
from training.data import shards
from training.data.pictures import masked_picture
from training.encoders import vae
from training.encoders.discriminator import PatchDiscriminator, balance, hinge

STAGE = "decoder"
RIM = 4
"""Pixels along a crop's border that the critic does not see: a decoder's padding shows there, and renders have none."""


def inside(picture: Tensor) -> Tensor:
    """A picture [B, 3, H, W] without its rim."""
    return picture[..., RIM:-RIM, RIM:-RIM]


def train(config: Config) -> None:
    """Trains from the autoencoder's decoder; the critic learns alone for `critic_lead` steps."""
    worker = workers.join()
    torch.manual_seed(config.seed)
    v = config.vae
    model = vae.load(config).to(loop.device(), memory_format=torch.channels_last).requires_grad_(False)
    loop.plain_attention(model)
    decoder = model.decoder.requires_grad_(True).train()
    optimiser = muon.optimiser(decoder, v.learning_rate)
    average = loop.Average(decoder, 0.995)
    critic = PatchDiscriminator().to(loop.device())
    critic_optimiser = torch.optim.AdamW(critic.parameters(), lr=v.critic_rate, betas=(0.5, 0.9), weight_decay=1e-3)
    run = loop.Run(
        config, STAGE, decoder=decoder, optimiser=optimiser, average=average, critic=critic,
        critic_optimiser=critic_optimiser,
    )  # fmt: skip
    run.resume()
    pictures = shards.load(config, "scene")
    spread = 1 / float(model.config["scaling_factor"])

    def body(step: int) -> dict[str, float]:
        draw_number = (step + v.steps) * worker.count + worker.rank
        image, mask = vae.batch(config, pictures, draw_number, worker, decoder_only=True)
        optimiser.param_groups[0]["lr"] = run.learning_rate(v.decoder_steps, v.learning_rate)
        with loop.half_precision():
            with torch.no_grad():
                latent = model.encode(image).latent_dist.mean
                latent = latent + torch.randn_like(latent) * spread * float(
                    np.random.default_rng(draw_number).uniform(0, 0.1)
                )
            # The pipeline passes the masked picture, and the decoder masks it again, which changes soft borders.
            decoded = model.decode(latent, image=masked_picture(image, mask), mask=mask).sample.float()
        seam = vae.seam_loss(decoded, image, mask)
        loss = vae.reconstruction(config, decoded, image) + v.seam_weight * seam
        if step >= v.critic_lead:
            adversarial = -critic(inside(decoded)).mean()
            loss = loss + v.critic_weight * balance(loss, adversarial, decoder.conv_out.weight) * adversarial
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        worker.average_gradients(decoder.parameters())
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimiser.step()
        average.update(decoder)
        told = hinge(critic(inside(image)), critic(inside(decoded.detach())))
        critic_optimiser.zero_grad()
        told.backward()  # type: ignore[no-untyped-call]
        worker.average_gradients(critic.parameters())
        critic_optimiser.step()
        if step % 100 == 99 and worker.leads:
            torch.save(average.weights, run.folder / "decoder.pt")
        error = (decoded - image).abs().mean()
        return {"loss": loss.item(), "l1": error.item(), "seam": seam.item(), "critic": told.item()}

    run.loop(v.decoder_steps, body, writes=worker.leads)
    if worker.leads:
        torch.save(average.weights, run.folder / "decoder.pt")


if __name__ == "__main__":
    loop.run_stage(__doc__, train)
