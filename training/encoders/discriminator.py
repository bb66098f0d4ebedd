"""The discriminator of decoder training: it tells patches of real pictures from decoded ones, against blur.

After Isola et al. 2017 (patches) and Esser et al. 2021 (weight by gradient norms).
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, relu


class PatchDiscriminator(nn.Module):
    """Strided convolutions on a picture and its fine detail, with one score per patch of about 20 pixels.

    Without the detail, a decoder's blur is too small a part of the input: on fixed decodings the loss then stayed at
    chance for hundreds of steps, and with it fell to 0.1.
    """

    def __init__(self, channels: tuple[int, ...] = (32, 64, 96), gain: float = 8.0) -> None:
        super().__init__()
        self.gain = gain
        layers: list[nn.Module] = [nn.Conv2d(6, channels[0], 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for a, b in itertools.pairwise(channels):
            layers += [nn.Conv2d(a, b, 4, stride=2, padding=1), nn.GroupNorm(8, b), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers, nn.Conv2d(channels[-1], 1, 3, padding=1))

    def forward(self, image: Tensor) -> Tensor:
        """Scores [B, 1, h, w] of pictures [B, 3, H, W]; a score above 0 says "real"."""
        fine = self.gain * (image - avg_pool2d(image, 3, 1, 1, count_include_pad=False))
        return torch.as_tensor(self.body(torch.cat([image, fine], dim=1)))


def hinge(real: Tensor, decoded: Tensor) -> Tensor:
    """The discriminator's hinge loss (Lim & Ye 2017)."""
    return (relu(1 - real).mean() + relu(1 + decoded).mean()) / 2


def balance(reconstruction: Tensor, adversarial: Tensor, last: Tensor, most: float = 10.0) -> Tensor:
    """Weight of the adversarial loss at which both losses have equal gradient norms on the last layer."""
    one = torch.autograd.grad(reconstruction, last, retain_graph=True)[0].norm()
    other = torch.autograd.grad(adversarial, last, retain_graph=True)[0].norm()
    return torch.as_tensor((one / (other + 1e-4)).clamp(max=most).detach())
