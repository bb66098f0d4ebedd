"""SRVGGNetCompact: a plain stack of convolutions that ends in a pixel shuffle. Our upscaler is one of these."""

from __future__ import annotations

from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn


class SRVGGNetCompact(ModelMixin, ConfigMixin):
    """The compact network of Real-ESRGAN (Wang et al. 2021), with the names of its published weights.

    All convolutions are at the small picture's size, and the pixel shuffle (Shi et al. 2016) spreads the last one's
    channels over the large picture's pixels; so the network costs the same at every factor.
    """

    @register_to_config
    def __init__(self, num_feat: int = 64, num_conv: int = 16, upscale: int = 4) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, num_feat, 3, padding=1), nn.PReLU(num_feat)]
        for _ in range(num_conv):
            layers += [nn.Conv2d(num_feat, num_feat, 3, padding=1), nn.PReLU(num_feat)]
        layers.append(nn.Conv2d(num_feat, 3 * upscale**2, 3, padding=1))
        self.body = nn.ModuleList(layers)
        self.upscale = upscale

    def forward(self, image: Tensor) -> Tensor:
        """Returns the picture [B, 3, S·H, S·W] of `image` [B, 3, H, W], both in 0…1, not clipped."""
        x = image
        for layer in self.body:
            x = layer(x)
        out: Tensor = nn.functional.pixel_shuffle(x, self.upscale)
        return out + nn.functional.interpolate(image, scale_factor=float(self.upscale), mode="nearest")
