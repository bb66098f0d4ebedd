"""The orchestrator's view of a model repository: its models and pipelines, and their check against a Triton."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from backdrop.contract.geometry import Size
from backdrop.contract.upscaling import FACTORS
from orchestrator.repository.conventions import Conventions
from orchestrator.sampler import Schedule
from orchestrator.triton.tensors import ModelMetadata, TensorSpec

PIPELINES = "pipeline.json"
TOKENIZER = "tokenizer.json"
"""In the folder of each text encoder: the one file of a model that the orchestrator itself reads."""
FORMAT = 1
# Every pipeline has these. Its text encoders are those that its denoiser and its reward model read.
CORE_ROLES = ("vae_encoder", "denoiser", "vae_decoder")
T5 = "text_encoder_t5"
TEXT_ROLES = ("text_encoder_l", "text_encoder_g", T5)
# Each is optional: without a reward model pictures are not scored, without a segmenter a mask must be sent.
JUDGE_ROLES = ("reward", "segmenter")
# Optional too: without one, scenes are enlarged by resampling, and the task `upscale` is not served.
UPSCALER = "upscaler"
TILE_CORE = 128
"""Side of what an upscaler's tile gives to the picture, in pixels; the margin around it is only seen."""
# They make image tokens from style pictures; a pipeline has all of them or none. The exception: the projector of a
# published IP-Adapter reads no UVE, so its pipeline has no image_encoder_uve.
IMAGE_ROLES = ("image_encoder_clip", "image_encoder_uve", "image_projector")


class RepositoryError(Exception):
    """The repository is not what the orchestrator needs; the message names the file or model, and why."""


@dataclasses.dataclass(frozen=True)
class AdapterSpec:
    """One adapter in a denoiser's bank."""

    row: int
    """From 1; row 0 of every bank is none."""
    digest: str
    """ "sha256:…" of the file that it was exported from."""


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """One model folder of the repository."""

    name: str
    version: str
    fingerprint: str
    files: Mapping[str, str]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    adapters: Mapping[str, AdapterSpec] = dataclasses.field(default_factory=dict)
    """The model's adapter bank, by the adapters' names."""

    @property
    def adapter_slots(self) -> int:
        """How many adapters a row has at once; 0 without a bank."""
        return next((tensor.shape[0] for tensor in self.inputs if tensor.name == "adapter"), 0)

    def shape(self, tensor: str) -> tuple[int, ...] | None:
        """The shape of an input or output, without the batch dimension; None if the model has none of that name."""
        return next((spec.shape for spec in (*self.inputs, *self.outputs) if spec.name == tensor), None)


@dataclasses.dataclass(frozen=True)
class UpscalerSpec:
    """What the shapes of an upscaler's tensors say: [3, T, T] becomes [3, S·T, S·T]."""

    tile: int
    """T, the side of a tile: `TILE_CORE` and a margin on either side."""
    factor: int
    """S: 2 or 4."""

    @property
    def margin(self) -> int:
        """Pixels that a tile sees on each side beyond its core."""
        return (self.tile - TILE_CORE) // 2

    def passes(self, source: Size, target: Size, *, once: bool) -> tuple[Size, ...]:
        """The sizes that are read on the way from one size to a larger one; () if that is not larger."""
        ratio, sizes, gained = max(target.width / source.width, target.height / source.height), list[Size](), 1
        factor = next((factor for factor in FACTORS if factor >= ratio), FACTORS[-1])
        while ratio > 1 and gained < factor and not (once and sizes):
            sizes.append(Size(source.width * gained, source.height * gained))
            gained *= min(factor // gained, self.factor)
        return tuple(sizes)

    def megapixels(self, size: Size) -> float:
        """Of all tiles of a picture together, with their margins."""
        return -(-size.width // TILE_CORE) * -(-size.height // TILE_CORE) * self.tile**2 / 1e6

    @staticmethod
    def of(model: ModelSpec) -> UpscalerSpec:
        """The spec of a model; raises ValueError if its tensors are not an upscaler's."""
        taken, returned = model.shape("image") or (), model.shape("upscaled") or ()
        tile, side = (taken or (0,))[-1], (returned or (0,))[-1]
        factor = side // tile if tile > 0 else 0
        fits = (taken, returned) == ((3, tile, tile), (3, factor * tile, factor * tile))
        if not fits or factor not in FACTORS or tile <= TILE_CORE or (tile - TILE_CORE) % 2:
            raise ValueError(
                f"{model.name} takes image {list(taken)} and returns upscaled {list(returned)}; an upscaler takes"
                f" [3, T, T] with an even T above {TILE_CORE}, and returns it 2 or 4 times as large"
            )
        return UpscalerSpec(tile, factor)


@dataclasses.dataclass(frozen=True)
class PipelineSpec:
    """One pipeline: which model plays which role, and how the loop over them runs."""

    name: str
    description: str
    models: Mapping[str, ModelSpec]  # by role
    schedule: Schedule
    schedulers: tuple[str, ...]
    default_scheduler: str
    default_steps: int
    default_guidance_scale: float
    default_image_scale: float  # read only if the pipeline takes style pictures
    latent_channels: int
    latent_factor: int
    preview_factors: tuple[tuple[float, ...], ...]  # [channels][3]
    preview_bias: tuple[float, ...]
    max_tokens: Mapping[str, int]  # by text encoder's role
    states_roles: tuple[str, ...]
    """The text encoders whose states the denoiser reads, in the order of their concatenation."""
    pooled_roles: tuple[str, ...]
    """The text encoders whose pooled embeddings are joined to `text_embeds`, in order; empty if no model reads it."""
    buckets: tuple[Size, ...]
    reward_heads: tuple[str, ...]
    """Empty without a reward model."""
    conventions: Conventions = dataclasses.field(default_factory=Conventions)
    task_adapters: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    """The weights of the adapters that each task's rows get without being named, by task."""

    @property
    def fingerprints(self) -> dict[str, str]:
        """Model name → digest of its served files."""
        return {model.name: model.fingerprint for model in self.models.values()}

    @property
    def max_prompt_tokens(self) -> int:
        """Longest prompt, start and end tokens included."""
        return min(self.max_tokens[role] for role in self.states_roles)

    @property
    def denoiser_inputs(self) -> frozenset[str]:
        """Names of the denoiser's inputs."""
        return frozenset(tensor.name for tensor in self.models["denoiser"].inputs)

    @property
    def adapters(self) -> Mapping[str, AdapterSpec]:
        """The adapters that a request may name."""
        return self.models["denoiser"].adapters

    @property
    def adapter_slots(self) -> int:
        """Most adapters of a row, those of the task included."""
        return self.models["denoiser"].adapter_slots

    @property
    def takes_style(self) -> bool:
        """Whether the pipeline takes style pictures."""
        return "image_projector" in self.models

    @property
    def scores(self) -> bool:
        """Whether it has a reward model, which scores pictures."""
        return "reward" in self.models

    @property
    def segments(self) -> bool:
        """Whether it has a segmenter, which makes the mask where a request has none."""
        return "segmenter" in self.models

    @property
    def upscaler(self) -> UpscalerSpec | None:
        """Its upscaler; None if it has none."""
        model = self.models.get(UPSCALER)
        return None if model is None else UpscalerSpec.of(model)


@dataclasses.dataclass(frozen=True)
class Repository:
    """Everything in pipeline.json."""

    path: Path
    pipelines: Mapping[str, PipelineSpec]
    default: str
    signature: str = ""
    """Who signed it and the trusted comment, in words; empty if no signature was asked for."""

    def with_default(self, name: str) -> Repository:
        """The same repository with another default pipeline; an empty name changes nothing.

        Raises:
            RepositoryError: there is no such pipeline.
        """
        if name and name not in self.pipelines:
            known = ", ".join(sorted(self.pipelines))
            raise RepositoryError(f"BACKDROP_DEFAULT_PIPELINE is {name!r}; {self.path / 'pipeline.json'} has {known}")
        return dataclasses.replace(self, default=name or self.default)


def check_served(model: ModelSpec, served: ModelMetadata) -> None:
    """Compares a model of pipeline.json with what a Triton replica reports of it.

    Raises:
        RepositoryError: a tensor's name, dtype or shape, or the fingerprint differs.
    """
    if served.fingerprint != model.fingerprint:
        raise RepositoryError(
            f"{model.name}: Triton serves {served.fingerprint or 'no fingerprint'}, pipeline.json says "
            f"{model.fingerprint}; both must mount the same repository"
        )
    for kind, ours, theirs in (("input", model.inputs, served.inputs), ("output", model.outputs, served.outputs)):
        want = {t.name: (t.dtype, tuple(t.shape)) for t in ours}
        have = {t.name: (t.dtype, tuple(t.shape)) for t in theirs}
        if want != have:
            name = next(n for n in sorted(want | have) if want.get(n) != have.get(n))
            raise RepositoryError(
                f"{model.name}: {kind} {name} is {have.get(name, 'missing')} in Triton, "
                f"{want.get(name, 'missing')} in pipeline.json"
            )
