"""Reads a model repository's `pipeline.json`, and checks its files against their digests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from backdrop.contract.geometry import Size
from orchestrator.repository.spec import (
    FORMAT,
    IMAGE_ROLES,
    PIPELINES,
    ROLES,
    T5,
    ModelSpec,
    PipelineSpec,
    Repository,
    RepositoryError,
)
from orchestrator.sampler import read_schedule, solvers_of
from orchestrator.triton.tensors import TensorSpec


def load(path: Path, *, verify_files: bool = True) -> Repository:
    """Reads `path`/pipeline.json and checks every listed file's sha256.

    Raises:
        RepositoryError: a file is missing or has another digest, a key is missing, or a role has no model.
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


def _model(name: str, value: Mapping[str, Any]) -> ModelSpec:
    def tensors(key: str) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(t["name"], t["dtype"], tuple(t["shape"])) for t in value[key])

    adapters = {adapter: int(entry["row"]) for adapter, entry in value.get("adapters", {}).get("names", {}).items()}
    return ModelSpec(
        name=name,
        version=str(value["version"]),
        fingerprint=value["fingerprint"],
        files=value["files"],
        inputs=tensors("inputs"),
        outputs=tensors("outputs"),
        adapters=adapters,
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
        states_roles=_states_roles(name, value["text"], components),
        buckets=tuple(Size(width, height) for height, width in value["buckets"]),
        reward_heads=tuple(value["reward_heads"]),
    )
    if spec.default_scheduler not in spec.schedulers:
        raise ValueError(f"pipeline {name} defaults to {spec.default_scheduler}, which is not among its schedulers")
    for scheduler in spec.schedulers:
        if scheduler not in solvers_of(spec.schedule):
            known = ", ".join(solvers_of(spec.schedule))
            raise ValueError(f"pipeline {name} offers {scheduler}; for its schedule there are {known}")
    return spec


def _states_roles(name: str, text: Mapping[str, Any], components: Mapping[str, str]) -> tuple[str, ...]:
    """The text encoders whose states the denoiser reads: `text.states`, else T5 alone, else both CLIP encoders."""
    default = [T5] if T5 in components else ["text_encoder_l", "text_encoder_g"]
    roles = tuple(text.get("states", default))
    if missing := [role for role in roles if role not in components]:
        raise ValueError(f"pipeline {name} reads the states of {', '.join(missing)}, which it has no model for")
    return roles


def _components(name: str, components: Mapping[str, str], models: Mapping[str, ModelSpec]) -> Mapping[str, str]:
    """Model names by role. Raises ValueError if a role that the pipeline needs has no model."""
    needed = [role for role in ROLES if role != "text_encoder_l" or T5 not in components]
    if any(role in components for role in IMAGE_ROLES):
        projector = models.get(components.get("image_projector", ""))
        alone = projector is not None and [tensor.name for tensor in projector.inputs] == ["clip"]
        needed += [role for role in IMAGE_ROLES if role != "image_encoder_uve" or not alone]
    missing = [role for role in dict.fromkeys([*needed, *components]) if components.get(role) not in models]
    if missing:
        raise ValueError(f"pipeline {name} has no model for {', '.join(missing)}")
    shapes = {tensor.name: tensor.shape for tensor in models[components["denoiser"]].inputs}
    if "image_projector" in components and "image_tokens" not in shapes:
        raise ValueError(f"pipeline {name} has an image_projector, but its denoiser takes no image_tokens")
    if min(shapes.get("image_tokens", ()), default=0) < 0:
        # Rows without style have zeros instead of image tokens, so the tokens' number and width must be known.
        raise ValueError(f"pipeline {name}: {components['denoiser']} takes image_tokens of no fixed shape")
    return components


def _verify(path: Path, models: Iterable[ModelSpec]) -> None:
    for model in models:
        for file, digest in model.files.items():
            try:
                with (path / model.name / file).open("rb") as stream:
                    digest_here = "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()
            except FileNotFoundError:
                raise RepositoryError(f"{path / model.name / file} is not there") from None
            if digest_here != digest:
                raise RepositoryError(f"{path / model.name / file} has {digest_here}, pipeline.json says {digest}")
