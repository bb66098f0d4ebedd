"""The orchestrator's view of `triton_repo/pipeline.json`, and the check of it against what Triton really serves."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.sampler import Schedule, read_schedule, solvers_of
from orchestrator.triton.tensors import ModelMetadata, TensorSpec

PIPELINES = "pipeline.json"
FORMAT = 1
ROLES = ("text_encoder_l", "text_encoder_g", "vae_encoder", "denoiser", "vae_decoder", "reward", "segmenter")
# Where a pipeline has it, the denoiser reads this encoder's states, and L's are not needed.
T5 = "text_encoder_t5"
# What makes image tokens of style pictures: a pipeline has all of them or none. Only a projector that reads no UVE, as
# those of published IP-Adapters, can do without its encoder.
IMAGE_ROLES = ("image_encoder_clip", "image_encoder_uve", "image_projector")


class RepositoryError(Exception):
    """The repository is not what the orchestrator needs; the message names the file or model, and why."""


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """One model folder of the repository."""

    name: str
    version: str
    fingerprint: str
    files: Mapping[str, str]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


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
    default_image_scale: float  # read only where style pictures are taken
    latent_channels: int
    latent_factor: int
    preview_factors: tuple[tuple[float, ...], ...]  # [channels][3]
    preview_bias: tuple[float, ...]
    max_tokens: Mapping[str, int]  # by text encoder's role
    buckets: tuple[tuple[int, int], ...]  # (height, width) in pixels
    reward_heads: tuple[str, ...]

    @property
    def fingerprints(self) -> dict[str, str]:
        """Model name → digest of its served files."""
        return {model.name: model.fingerprint for model in self.models.values()}

    @property
    def states_roles(self) -> tuple[str, ...]:
        """The text encoders whose states the denoiser reads, in the order of their concatenation."""
        return (T5,) if T5 in self.models else ("text_encoder_l", "text_encoder_g")

    @property
    def max_prompt_tokens(self) -> int:
        """Longest prompt, start and end tokens included."""
        return min(self.max_tokens[role] for role in self.states_roles)

    @property
    def takes_style(self) -> bool:
        """Whether style pictures can be given."""
        return "image_projector" in self.models


@dataclasses.dataclass(frozen=True)
class Repository:
    """Everything in pipeline.json."""

    path: Path
    pipelines: Mapping[str, PipelineSpec]
    default: str

    def with_default(self, name: str) -> Repository:
        """The same with another default pipeline; an empty name changes nothing.

        Raises:
            RepositoryError: there is no such pipeline.
        """
        if name and name not in self.pipelines:
            known = ", ".join(sorted(self.pipelines))
            raise RepositoryError(f"BACKDROP_DEFAULT_PIPELINE is {name!r}; {self.path / 'pipeline.json'} has {known}")
        return dataclasses.replace(self, default=name or self.default)


def load(path: Path, *, verify_files: bool = True) -> Repository:
    """Reads `path`/pipeline.json and checks every listed file's sha256.

    Raises:
        RepositoryError: a file is missing or has another digest, a key is missing, a role has no model.
    """
    file = path / PIPELINES
    try:
        document = json.loads(file.read_text())
    except FileNotFoundError:
        raise RepositoryError(f"{file} is not there; is BACKDROP_REPOSITORY the triton_repo folder?") from None
    except ValueError as problem:
        raise RepositoryError(f"{file} is not JSON: {problem}") from None
    if document.get("format") != FORMAT:
        raise RepositoryError(f"{file} has format {document.get('format')!r}; this orchestrator reads {FORMAT}")
    try:
        models = {name: _model(name, value) for name, value in document["models"].items()}
        pipelines = {name: _pipeline(name, value, models) for name, value in document["pipelines"].items()}
        default = document["default"]
        pipelines[default]
    except KeyError as problem:
        raise RepositoryError(f"{file} lacks {problem}") from None
    except (TypeError, ValueError) as problem:
        raise RepositoryError(f"{file}: {problem}") from None
    if verify_files:
        _verify(path, models.values())
    return Repository(path, pipelines, default)


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


def _model(name: str, value: Mapping[str, Any]) -> ModelSpec:
    def tensors(key: str) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(t["name"], t["dtype"], tuple(t["shape"])) for t in value[key])

    return ModelSpec(
        name, str(value["version"]), value["fingerprint"], value["files"], tensors("inputs"), tensors("outputs")
    )


def _pipeline(name: str, value: Mapping[str, Any], models: Mapping[str, ModelSpec]) -> PipelineSpec:
    components = _components(name, value["components"], models)
    defaults, latents, preview = value["defaults"], value["latents"], value["preview"]
    max_tokens = dict.fromkeys(("text_encoder_l", "text_encoder_g"), value["text"]["max_tokens"])
    if T5 in components:
        max_tokens[T5] = value["text"]["t5_max_tokens"]
    spec = PipelineSpec(
        name=name,
        description=value["description"],
        models={role: models[model] for role, model in components.items()},
        schedule=read_schedule(value["schedule"]),
        schedulers=tuple(value["schedulers"]),
        default_scheduler=defaults["scheduler"],
        default_steps=defaults["steps"],
        default_guidance_scale=defaults["guidance_scale"],
        default_image_scale=defaults.get("image_scale", 1.0),
        latent_channels=latents["channels"],
        latent_factor=latents["factor"],
        preview_factors=tuple(tuple(row) for row in preview["factors"]),
        preview_bias=tuple(preview["bias"]),
        max_tokens=max_tokens,
        buckets=tuple((height, width) for height, width in value["buckets"]),
        reward_heads=tuple(value["reward_heads"]),
    )
    if spec.default_scheduler not in spec.schedulers:
        raise ValueError(f"pipeline {name} defaults to {spec.default_scheduler}, which is not among its schedulers")
    for scheduler in spec.schedulers:
        if scheduler not in solvers_of(spec.schedule):
            known = ", ".join(solvers_of(spec.schedule))
            raise ValueError(f"pipeline {name} offers {scheduler}; for its schedule there are {known}")
    return spec


def _components(name: str, given: Mapping[str, str], models: Mapping[str, ModelSpec]) -> Mapping[str, str]:
    """Model names by role; every role that the pipeline needs has a model that is there."""
    needed = [role for role in ROLES if role != "text_encoder_l" or T5 not in given]
    if any(role in given for role in IMAGE_ROLES):
        projector = models.get(given.get("image_projector", ""))
        alone = projector is not None and [tensor.name for tensor in projector.inputs] == ["clip"]
        needed += [role for role in IMAGE_ROLES if role != "image_encoder_uve" or not alone]
    missing = [role for role in dict.fromkeys([*needed, *given]) if given.get(role) not in models]
    if missing:
        raise ValueError(f"pipeline {name} has no model for {', '.join(missing)}")
    shapes = {tensor.name: tensor.shape for tensor in models[given["denoiser"]].inputs}
    if "image_projector" in given and "image_tokens" not in shapes:
        raise ValueError(f"pipeline {name} has an image_projector, but its denoiser takes no image_tokens")
    if min(shapes.get("image_tokens", ()), default=0) < 0:
        # Rows without style carry zeros in their place, so their number and width must be known.
        raise ValueError(f"pipeline {name}: {given['denoiser']} takes image_tokens of no fixed shape")
    return given


def _verify(path: Path, models: Iterable[ModelSpec]) -> None:
    for model in models:
        for file, digest in model.files.items():
            try:
                with (path / model.name / file).open("rb") as stream:
                    found = "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()
            except FileNotFoundError:
                raise RepositoryError(f"{path / model.name / file} is not there") from None
            if found != digest:
                raise RepositoryError(f"{path / model.name / file} has {found}, pipeline.json says {digest}")
