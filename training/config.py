"""Every architecture and hyper-parameter of the reference weights.

The numbers fit a two-core machine. The denoiser has most of its parameters at 1/16 and 1/32 of the picture, where a
convolution is cheap. The decoder has few channels at full resolution, where a convolution is expensive.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent
HELD_OUT_SEED = 10_000_000
"""Seeds below this one are for training; seeds from here on are for measuring only."""


@dataclass(frozen=True)
class Paths:
    """Where stages write. `work` holds checkpoints and caches; `weights` is what gets exported."""

    work: Path = ROOT / "work"
    weights: Path = ROOT / "weights"
    classifier: Path = ROOT / "weights" / "classifier"
    product_judge: Path = ROOT / "weights" / "product_judge"
    published: Path = ROOT / "weights" / "backdrop"
    """The published pipeline, from whose layers a later training starts."""


@dataclass(frozen=True)
class Data:
    """How many pictures are rendered, and their side in pixels."""

    size: int = 256
    train_count: int = 8192
    held_out_count: int = 512
    photo_count: int = 2048
    """Products on plain backgrounds, as users send them."""
    shard_count: int = 512
    """Pictures in a shard; rendering resumes at the first missing shard."""


@dataclass(frozen=True)
class Text:
    """Tokenizer and the two text encoders: SDXL's pair, small."""

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

    encoder_channels: tuple[int, ...] = (32, 64, 96, 96)
    decoder_channels: tuple[int, ...] = (32, 64, 96, 96)
    encoder_layers: int = 1
    decoder_layers: int = 0
    """A decoder block has one resnet more than this."""
    groups: int = 8
    latent_channels: int = 16
    """As Stable Diffusion 3 has; four keep too little of texture and letters (decision 51)."""
    crop: int = 64
    batch: int = 12
    steps: int = 4200
    decoder_steps: int = 3000
    """Further steps of the decoder alone, with the encoder fixed."""
    learning_rate: float = 4e-4
    scale_pictures: int = 64
    """Pictures that measure the latents' scaling factor, and that their `Guide` is fitted on."""
    preview_pictures: int = 48
    """Pictures that the preview is fitted on."""
    kl_weight: float = 2e-5
    """Small: at 1e-3 one of sixteen channels held nothing but noise."""
    edge_weight: float = 1.0
    critic_lead: int = 500
    """For how many steps the critic learns before the decoder follows it."""
    critic_weight: float = 0.1
    critic_rate: float = 6e-4
    seam_weight: float = 0.5
    """Weight of the border band's loss when the decoder is trained alone."""
    guide_weight: float = 0.02
    """Weight of the loss that pulls the latents to their `Guide`, after `guide_steps`."""
    guide_steps: int = 300
    anchor_weight: float = 0.05
    """Weight of the loss that keeps the latents where they are (`training.encoders.anchored`)."""
    anchored_steps: int = 3000
    block_weight: float = 0.1
    """Weight of the loss on the pattern that a decoder leaves on the grid of 8-pixel blocks."""


@dataclass(frozen=True)
class Denoiser:
    """UNet2DConditionModel in SDXL's shape."""

    channels: tuple[int, ...] = (48, 96, 160)
    heads: tuple[int, ...] = (2, 3, 5)
    layers: tuple[int, ...] = (2, 1, 1)
    """Residual blocks of each level on its way down; there is one more on its way up."""
    groups: int = 16
    time_embedding: int = 32
    """Width of each of the six embedded time ids."""
    image_tokens: int = 4


@dataclass(frozen=True)
class Transformer:
    """SD3Transformer2DModel, small."""

    layers: int = 6
    heads: int = 6
    head_width: int = 32


@dataclass(frozen=True)
class Diffusion:
    """How one diffusion stage is trained."""

    steps: int
    small_steps: int = 0
    """How many of the first steps use 128-pixel pictures (16x16 latents), a quarter of the work per picture."""
    batch: int = 16
    small_batch: int = 48
    learning_rate: float = 4e-4
    warmup: int = 100
    ema: float = 0.998
    muon: bool = False
    """Whether the hidden matrices are trained by Muon; low-rank updates are not."""


@dataclass(frozen=True)
class Stages:
    """The diffusion stages, in the order in which they run."""

    base: Diffusion = Diffusion(steps=9000, small_steps=1500, learning_rate=8e-4, muon=True)
    inpaint: Diffusion = Diffusion(steps=10_000, learning_rate=2.5e-4, ema=0.999, muon=True)
    product: Diffusion = Diffusion(steps=1500, learning_rate=8e-4, ema=0.995)
    surroundings: Diffusion = Diffusion(steps=6000, learning_rate=8e-4, ema=0.995)
    image_adapter: Diffusion = Diffusion(steps=1500, learning_rate=6e-4, ema=0.995)
    distil: Diffusion = Diffusion(steps=4000, learning_rate=5e-4, warmup=50, ema=0.99)
    dit: Diffusion = Diffusion(steps=6000, small_steps=2500, learning_rate=6e-4, muon=True)
    brand: Diffusion = Diffusion(steps=600, batch=8, learning_rate=1.5e-3, warmup=20, ema=0.98)
    lora_rank: int = 8
    brand_rank: int = 8
    brand_pictures: int = 40
    prompt_drop: float = 0.12
    """Share of samples with the empty prompt, for classifier-free guidance."""
    whole_share: float = 0.15
    """Share of the mixture's samples in which all is made."""
    product_share: float = 0.3
    """Share of the mixture's samples in which all but the product is made."""
    mask_shares: tuple[float, float, float, float] = (0.25, 0.3, 0.25, 0.2)
    """Shares of `data.masks.KINDS` among the mixture's other samples."""
    borders_unnamed: float = 0.3
    """Share of border masks with the empty prompt: people expand a picture without a word."""
    surroundings_unnamed: float = 0.6
    """The same share in the training of surroundings, which is for them alone."""
    holes_unnamed: float = 0.6
    """Share of holes with the empty prompt: erase has none."""
    min_snr_gamma: float = 5.0
    weight_floor: float = 0.5


@dataclass(frozen=True)
class Schedule:
    """The diffusion schedule that all stages share."""

    train_timesteps: int = 1000
    beta_start: float = 0.00085
    beta_end: float = 0.012
    shift: float = 1.5
    """Shift of the flow's noise levels towards noise, in training."""
    sampling_shift: float = 1.5
    """The same shift, in sampling."""
    zero_terminal: bool = True
    """Whether the last timestep is pure noise (Lin et al. 2024)."""


@dataclass(frozen=True)
class Small:
    """The small convolutional networks: reward, segmenter and the classifier that judges generated pictures."""

    reward_channels: tuple[int, ...] = (24, 48, 64, 96)
    reward_steps: int = 5300
    reward_batch: int = 6
    """Pairs of an intact and a damaged picture per step."""
    reconstructed: int = 512
    """Training pictures whose background is encoded and decoded, as every generated background is."""
    reconstructed_held: int = 192
    checkpoint_pairs: int = 256
    """Pairs of pictures that an early and a late checkpoint of the pipeline make."""
    checkpoint_pairs_held: int = 96
    segmenter_channels: tuple[int, ...] = (16, 32, 48, 80, 112)
    segmenter_steps: int = 4700
    segmenter_batch: int = 8
    empty_scenes: int = 1024
    """Scenes without a product, into which products are pasted."""
    classifier_channels: tuple[int, ...] = (24, 48, 96, 128)
    classifier_steps: int = 1300
    classifier_batch: int = 32
    product_judge_steps: int = 1500
    product_judge_batch: int = 32
    learning_rate: float = 2e-3


@dataclass(frozen=True)
class Uve:
    """The unified visual embedding: several classification tasks and a contrastive loss on scene and palette."""

    channels: tuple[int, ...] = (24, 48, 96, 144)
    dim: int = 128
    steps: int = 1900
    groups: int = 12
    """Pairs of scene and palette in a batch; each pair has `per_group` pictures."""
    per_group: int = 4
    learning_rate: float = 2e-3
    contrast_temperature: float = 0.1


@dataclass(frozen=True)
class ImageEncoder:
    """CLIP's image encoder, small; its projection is as wide as the text encoder's."""

    size: int = 64
    patch: int = 8
    hidden: int = 128
    layers: int = 4
    heads: int = 4
    steps: int = 800
    batch: int = 64
    learning_rate: float = 1e-3


@dataclass(frozen=True)
class T5:
    """T5's encoder, small, with the vocabulary of the two CLIP encoders."""

    d_model: int = 192
    layers: int = 4
    heads: int = 4
    d_kv: int = 48
    d_ff: int = 512
    max_length: int = 128
    steps: int = 2000
    batch: int = 64
    learning_rate: float = 1.5e-3


@dataclass(frozen=True)
class Upscaler:
    """Lanczos at factor 2, and the network that adds to it."""

    channels: int = 48
    convolutions: int = 6
    """Between the first and the last one."""
    pictures: int = 256
    size: int = 512
    """Side of the large pictures, in pixels."""
    crop: int = 48
    """Side of a crop of the small ones."""
    batch: int = 8
    steps: int = 3000
    learning_rate: float = 1e-3


@dataclass(frozen=True)
class Config:
    """All settings of a training; each stage writes a copy next to its checkpoint."""

    seed: int = 7
    seconds: float = 0.0
    """Wall-clock limit of each stage; a stage that reaches it is finished. 0 is no limit."""
    buckets: tuple[tuple[int, int], ...] = ((256, 256), (192, 256), (256, 192))
    """Picture sizes served, as (height, width)."""
    guidance_scale: float = 4.0
    dit_guidance_scale: float = 4.0
    paths: Paths = field(default_factory=Paths)
    data: Data = field(default_factory=Data)
    text: Text = field(default_factory=Text)
    vae: Vae = field(default_factory=Vae)
    denoiser: Denoiser = field(default_factory=Denoiser)
    transformer: Transformer = field(default_factory=Transformer)
    diffusion: Stages = field(default_factory=Stages)
    schedule: Schedule = field(default_factory=Schedule)
    small: Small = field(default_factory=Small)
    uve: Uve = field(default_factory=Uve)
    image_encoder: ImageEncoder = field(default_factory=ImageEncoder)
    t5: T5 = field(default_factory=T5)
    upscaler: Upscaler = field(default_factory=Upscaler)


REWARD_HEADS = ("defects", "fidelity", "aesthetics")
