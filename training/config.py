"""The one place that holds every architecture and hyper-parameter of the reference weights.

Numbers were chosen for a two-core machine: the denoiser spends its parameters at 1/16 and 1/32 of the picture,
where a convolution is cheap, and the decoder keeps few channels at full resolution, where it is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent
HELD_OUT_SEED = 10_000_000
"""Pictures of seeds below this one are for training; at or above it, for measuring only."""


@dataclass(frozen=True)
class Paths:
    """Where stages leave their work. `work` may be deleted at any time; `weights` is what gets exported."""

    work: Path = ROOT / "work"
    weights: Path = ROOT / "weights" / "backdrop"
    classifier: Path = ROOT / "weights" / "classifier"


@dataclass(frozen=True)
class Data:
    """How many pictures are rendered, and at which size (pixels)."""

    size: int = 256
    train_count: int = 12288
    held_out_count: int = 512
    photo_count: int = 2048
    """Products on plain backgrounds, as users send them."""
    shard_count: int = 512
    """Pictures to a shard; a shard is the unit of resuming."""


@dataclass(frozen=True)
class Text:
    """Tokenizer and the two text encoders (the reference pair of SDXL, made small)."""

    vocab_size: int = 2048
    max_length: int = 77
    hidden_l: int = 96
    heads_l: int = 4
    layers_l: int = 3
    hidden_g: int = 160
    heads_g: int = 5
    layers_g: int = 3
    projection: int = 160
    steps: int = 2000
    batch: int = 64
    learning_rate: float = 1.5e-3

    @property
    def cross_attention_dim(self) -> int:
        """Width of the concatenated penultimate states."""
        return self.hidden_l + self.hidden_g


@dataclass(frozen=True)
class Vae:
    """AsymmetricAutoencoderKL. Its condition encoder fixes the widths to (c, 2c, 4c, <= 8c)."""

    encoder_channels: tuple[int, ...] = (16, 32, 64, 64)
    decoder_channels: tuple[int, ...] = (16, 32, 64, 64)
    encoder_layers: int = 1
    decoder_layers: int = 0
    """A block has one resnet more than this."""
    groups: int = 8
    latent_channels: int = 4
    crop: int = 64
    batch: int = 12
    steps: int = 1500
    decoder_steps: int = 2400
    """Further steps of the decoder alone, after the latents have been fixed for the denoiser."""
    learning_rate: float = 1.2e-3
    kl_weight: float = 5e-3
    edge_weight: float = 1.0
    guide_weight: float = 0.15
    """How strongly the first three latent channels are held to the blocks' colours, after `guide_steps`."""
    guide_steps: int = 300


@dataclass(frozen=True)
class Denoiser:
    """UNet2DConditionModel in SDXL's shape, and the two phases of its training."""

    channels: tuple[int, ...] = (48, 96, 160)
    heads: tuple[int, ...] = (2, 3, 5)
    layers: int = 1
    groups: int = 16
    time_embedding: int = 32
    """Width of each of the six embedded time ids."""
    small_steps: int = 1800
    """Steps on 128-pixel pictures (16x16 latents)."""
    steps: int = 4000
    """Steps in all; the rest run at 32x32 and the two other buckets."""
    batch: int = 32
    large_batch: int = 16
    """The batch at the full size."""
    text_to_image: float = 0.10
    """Share of samples that are made wholly, without a product."""
    learning_rate: float = 8e-4
    warmup: int = 100
    ema: float = 0.998
    prompt_drop: float = 0.12
    min_snr_gamma: float = 5.0
    weight_floor: float = 0.5


@dataclass(frozen=True)
class Schedule:
    """The diffusion schedule all of the pipeline shares."""

    train_timesteps: int = 1000
    beta_start: float = 0.00085
    beta_end: float = 0.012


@dataclass(frozen=True)
class Small:
    """The small convolutional networks: reward, segmenter and scene classifier."""

    reward_channels: tuple[int, ...] = (16, 32, 64, 96)
    reward_steps: int = 600
    segmenter_channels: tuple[int, ...] = (12, 24, 48, 64)
    segmenter_steps: int = 380
    classifier_channels: tuple[int, ...] = (16, 32, 64, 96)
    classifier_steps: int = 320
    batch: int = 16
    learning_rate: float = 2e-3


@dataclass(frozen=True)
class Config:
    """Everything a stage needs to know; recorded beside what the stage writes."""

    seed: int = 7
    buckets: tuple[tuple[int, int], ...] = ((256, 256), (192, 256), (256, 192))
    """Picture sizes served, as (height, width)."""
    guidance_scale: float = 4.0
    paths: Paths = field(default_factory=Paths)
    data: Data = field(default_factory=Data)
    text: Text = field(default_factory=Text)
    vae: Vae = field(default_factory=Vae)
    denoiser: Denoiser = field(default_factory=Denoiser)
    schedule: Schedule = field(default_factory=Schedule)
    small: Small = field(default_factory=Small)


REWARD_HEADS = ("defects", "fidelity", "aesthetics")
