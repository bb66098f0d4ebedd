"""Which models a pipeline needs: those that its denoiser and its reward model read, and that these fit each other."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.repository.spec import (
    CORE_ROLES,
    IMAGE_ROLES,
    T5,
    TEXT_ROLES,
    UPSCALER,
    ModelSpec,
    UpscalerSpec,
)

_POOLED, _STATES = "text_embeds", "encoder_hidden_states"
# Who reads a text encoder's pooled embedding.
_READERS = ("denoiser", "reward")


@dataclasses.dataclass(frozen=True)
class Roles:
    """The models of a pipeline by role, and whose outputs its denoiser and its reward model read."""

    models: Mapping[str, ModelSpec]
    states: tuple[str, ...]
    """See `PipelineSpec.states_roles`."""
    pooled: tuple[str, ...]
    """See `PipelineSpec.pooled_roles`."""


def read_roles(entry: Mapping[str, Any], models: Mapping[str, ModelSpec]) -> Roles:
    """The roles of a pipeline's entry in pipeline.json.

    Raises:
        ValueError: a role that the pipeline needs has no model, or two models do not fit each other.
        KeyError: the entry lacks a key.
    """
    components, text = entry["components"], entry["text"]
    _check_models(components, [*CORE_ROLES, *components], models)
    roles = {role: models[model] for role, model in components.items()}
    states = tuple(text.get("states", [T5] if T5 in roles else ["text_encoder_l", "text_encoder_g"]))
    readers = [role for role in _READERS if role in roles and roles[role].shape(_POOLED) is not None]
    pooled = tuple(text.get("pooled", ["text_encoder_g"])) if readers else ()
    _check_models(components, [*states, *pooled, *_image_roles(roles)], models)
    if unknown := [role for role in (*states, *pooled) if role not in TEXT_ROLES]:
        raise ValueError(f"text names {unknown[0]}, which is not a text encoder's role")
    result = Roles(roles, states, pooled)
    _check_widths(result, readers)
    _check_style(roles)
    if UPSCALER in roles:
        UpscalerSpec.of(roles[UPSCALER])
    return result


def _check_models(components: Mapping[str, str], needed: Iterable[str], models: Mapping[str, ModelSpec]) -> None:
    if missing := [role for role in dict.fromkeys(needed) if components.get(role) not in models]:
        raise ValueError(f"no model for {', '.join(missing)}")


def _image_roles(roles: Mapping[str, ModelSpec]) -> list[str]:
    """The image roles that the pipeline needs: none, or all; a published IP-Adapter's projector reads no UVE."""
    if not any(role in roles for role in IMAGE_ROLES):
        return []
    projector = roles.get("image_projector")
    alone = projector is not None and [tensor.name for tensor in projector.inputs] == ["clip"]
    return [role for role in IMAGE_ROLES if role != "image_encoder_uve" or not alone]


def _check_widths(roles: Roles, readers: Iterable[str]) -> None:
    """Raises ValueError when the text encoders' outputs are not as wide as what reads them; -1 fits everything."""
    for reader in readers:
        if not roles.pooled:
            raise ValueError(f"{roles.models[reader].name} takes {_POOLED}, which none of its text encoders returns")
        widths = [_width(roles.models[role], _POOLED) for role in roles.pooled]
        _compare(roles.models[reader], _POOLED, sum(widths) if min(widths) > 0 else -1)
    if roles.models["denoiser"].shape(_STATES) is not None:
        # T5's states are the widest, and those of the CLIP encoders are padded to them.
        widest = [role for role in roles.states if role == T5] or roles.states
        widths = [_width(roles.models[role], "hidden_states") for role in widest]
        _compare(roles.models["denoiser"], _STATES, sum(widths) if min(widths) > 0 else -1)


def _width(model: ModelSpec, tensor: str) -> int:
    shape = model.shape(tensor)
    if shape is None:
        raise ValueError(f"{model.name} returns no {tensor}")
    return shape[-1]


def _compare(reader: ModelSpec, tensor: str, width: int) -> None:
    expected = _width(reader, tensor)
    if min(expected, width) > 0 and expected != width:
        raise ValueError(f"{reader.name} takes {tensor} of {expected} values, its text encoders return {width}")


def _check_style(roles: Mapping[str, ModelSpec]) -> None:
    denoiser = roles["denoiser"]
    tokens = denoiser.shape("image_tokens")
    if "image_projector" in roles and tokens is None:
        raise ValueError("it has an image_projector, but its denoiser takes no image_tokens")
    if min(tokens or (), default=0) < 0:
        # Rows without style have zeros instead of image tokens, so the tokens' number and width must be known.
        raise ValueError(f"{denoiser.name} takes image_tokens of no fixed shape")
