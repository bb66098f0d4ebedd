"""What a diffusers folder holds, and which model each part becomes. No torch, so that `inspect` is quick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.preprocess import ClipPreprocess


def class_named(config: Mapping[str, Any]) -> str:
    """The class that a component's config names, as transformers or as diffusers writes it."""
    names = config.get("architectures") or config.get("_class_name")
    return str(names[0] if isinstance(names, list) and names else names)


@dataclass(frozen=True)
class Kind:
    """One kind of component; `export/models/<name>.py` knows how to load and wrap it."""

    name: str
    role: str
    """What it does in a pipeline. Different kinds may do the same: a UNet and a transformer are both denoisers."""
    folder: str
    classes: tuple[str, ...]
    """Class names, as the folder's config.json gives them, that can be exported."""
    weights: str
    """The safetensors file; sharded weights have an index of the same name."""
    tokenizer: str | None = None
    """The tokenizer folder that belongs to it, for text encoders."""


@dataclass(frozen=True)
class Roots:
    """Where a pipeline's components may lie."""

    folders: tuple[Path, ...]
    """The pipeline's own folder first, then the one that it shares with."""
    variant: str | None = None
    """Which variant of weights is read where a component has it, such as fp16; None for the plain ones."""

    @property
    def name(self) -> str:
        """The pipeline's folder's."""
        return self.folders[0].resolve().name

    def first(self, name: str) -> Path | None:
        """The folder of this name that comes first: a pipeline's own before a shared one."""
        return next((root / name for root in self.folders if (root / name).is_dir()), None)


@dataclass(frozen=True)
class Adapter:
    """An IP-Adapter's weights, and how many image tokens its projector makes."""

    path: Path
    tokens: int


@dataclass(frozen=True)
class Source:
    """Where one component of one pipeline comes from: files that were checked, but not loaded."""

    kind: Kind
    folder: Path
    config: Mapping[str, Any]
    weights: tuple[Path, ...]
    """Its safetensors files."""
    tokenizer: Path | None = None
    adapter: Adapter | None = None
    last_states: bool = False
    """Text encoders: whether the pipeline reads the normalised states of the last layer, not the penultimate ones."""
    unnormalised: bool = False
    """CLIP's image encoder: whether embeddings keep their norm, as published IP-Adapters need them."""
    preprocess: ClipPreprocess | None = None
    """CLIP's image encoder: its own preprocessing; None where the graph resizes a picture of any size."""
    without_text: bool = False
    """The reward model: whether it is exported without its text input, and without the head that reads it."""

    @property
    def identity(self) -> tuple[object, ...]:
        """Equal for two pipelines that share the component."""
        adapter = None if self.adapter is None else self.adapter.path.resolve()
        forms = self.last_states, self.unnormalised, self.preprocess, self.without_text
        return self.folder.resolve(), adapter, *forms

    @property
    def files(self) -> dict[str, Path]:
        """The safetensors files by the names they have beside the graph."""
        single = len(self.weights) == 1
        files = {"weights.safetensors" if single else path.name: path for path in self.weights}
        return files if self.adapter is None else files | {self.adapter.path.name: self.adapter.path}


DIFFUSERS, TRANSFORMERS = "diffusion_pytorch_model.safetensors", "model.safetensors"
CLIP_TEXT, CLIP_POOLED = "CLIPTextModel", "CLIPTextModelWithProjection"
CLIP_VISION = ("CLIPVisionModelWithProjection",)
VAES = ("AsymmetricAutoencoderKL", "AutoencoderKL")

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("segmenter", "segmenter", "segmenter", ("Segmenter",), DIFFUSERS),
        Kind("text_encoder_l", "text_encoder_l", "text_encoder", (CLIP_TEXT, CLIP_POOLED), TRANSFORMERS, "tokenizer"),
        Kind("text_encoder_g", "text_encoder_g", "text_encoder_2", (CLIP_POOLED,), TRANSFORMERS, "tokenizer_2"),
        Kind("text_encoder_t5", "text_encoder_t5", "text_encoder_3", ("T5EncoderModel",), TRANSFORMERS, "tokenizer_3"),
        Kind("image_encoder_clip", "image_encoder_clip", "image_encoder", CLIP_VISION, TRANSFORMERS),
        Kind("image_encoder_uve", "image_encoder_uve", "image_encoder_uve", ("UVE",), DIFFUSERS),
        Kind("image_projector", "image_projector", "image_projector", ("ImageProjector",), DIFFUSERS),
        Kind("vae_encoder", "vae_encoder", "vae", VAES, DIFFUSERS),
        Kind("denoiser", "denoiser", "unet", ("UNet2DConditionModel",), DIFFUSERS),
        Kind("denoiser_dit", "denoiser", "transformer", ("SD3Transformer2DModel",), DIFFUSERS),
        Kind("vae_decoder", "vae_decoder", "vae", VAES, DIFFUSERS),
        Kind("reward", "reward", "reward", ("RewardModel",), DIFFUSERS),
        Kind("upscaler", "upscaler", "upscaler", ("Upscaler", "SRVGGNetCompact", "RRDBNet"), DIFFUSERS),
    )
}
"""In the order in which a request meets them."""
TEXT_ROLES = ("text_encoder_l", "text_encoder_g", "text_encoder_t5")
IMAGE_ROLES = ("image_encoder_clip", "image_encoder_uve", "image_projector")
"""What makes image tokens of a style picture. A published IP-Adapter knows no UVE; else it is all three, or none."""
JUDGE_ROLES = ("segmenter", "reward", "upscaler")
"""What a checkpoint from elsewhere does not bring, and a pipeline can do without."""
TEXT_HEAD = 1
"""The place of `fidelity` among the reward model's heads, the only one that reads the prompt."""
