"""Networks of our own that stand in a diffusers folder beside the stock ones."""

from export.networks.image_projector import ImageProjector
from export.networks.reward import RewardModel
from export.networks.segmenter import Segmenter
from export.networks.upscaler import Upscaler
from export.networks.uve import UVE

__all__ = ["UVE", "ImageProjector", "RewardModel", "Segmenter", "Upscaler"]
