"""Networks of our own that stand in a diffusers folder beside the stock ones."""

from export.networks.reward import RewardModel
from export.networks.segmenter import Segmenter

__all__ = ["RewardModel", "Segmenter"]
