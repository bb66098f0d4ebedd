"""What the shipped autoencoder alone makes of a picture: the least error that any denoiser before it can have."""

from __future__ import annotations

import numpy as np
import torch
from diffusers import AsymmetricAutoencoderKL

from backdrop.contract.continuation import continued
from bench.task_judges import WEIGHTS, Bytes
from training.data.pictures import masked_picture, pictures_to_tensor
from training.publish.weights_folder import WeightsFolder


class Autoencoder:
    """The VAE of the main pipeline, loaded once."""

    def __init__(self) -> None:
        self._vae = WeightsFolder(WEIGHTS).read(AsymmetricAutoencoderKL, "vae")

    def remade(self, picture: Bytes) -> Bytes:
        """A picture [H, W, 3] of which no pixel is kept."""
        return self._decoded(picture, picture, np.full(picture.shape[:2], 255, np.uint8))

    def in_hole(self, truth: Bytes, known: Bytes, make: Bytes) -> Bytes:
        """The right content of a hole, as it would be served.

        Args:
            truth: what belongs into the hole [H, W, 3].
            known: the picture with the hole [H, W, 3].
            make: 255 = made, 0 = known [H, W].

        Returns:
            [H, W, 3], with the known pixels as they are.
        """
        scene = continued(self._decoded(truth, known, make), known, make)
        return np.where(make[..., None] > 0, scene, known)

    @torch.no_grad()
    def _decoded(self, truth: Bytes, known: Bytes, make: Bytes) -> Bytes:
        mask = torch.from_numpy(make > 0).float()[None, None]
        latents = self._vae.encode(pictures_to_tensor(truth[None])).latent_dist.mean
        image = masked_picture(pictures_to_tensor(known[None]), mask)
        decoded = self._vae.decode(latents, image=image, mask=mask).sample[0]
        return np.asarray(((decoded.clamp(-1, 1) + 1) * 127.5).round().permute(1, 2, 0).numpy(), np.uint8)
