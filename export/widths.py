"""Whether a pipeline's components fit each other, so that no graph is exported that the next one cannot feed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from export.errors import BadFolderError
from export.models.component import Source
from export.tensor_files import extents

Fact = tuple[str, object, object]
"""What is compared, what was found, what is needed."""


def check_widths(sources: Mapping[str, Source]) -> None:
    """Compares the configs of a pipeline's components, given by role.

    Raises:
        BadFolderError: with the first width that does not fit.
    """
    for what, found, expected in facts(sources):
        if found != expected:
            raise BadFolderError(f"{what} is {found}; this pipeline needs {expected}.")


def facts(sources: Mapping[str, Source]) -> Iterator[Fact]:
    """Everything that must be equal."""
    configs = {role: source.config for role, source in sources.items()}
    vae, pooled = configs["vae_encoder"], configs["text_encoder_g"]["projection_dim"]
    channels = int(vae.get("latent_channels") or 0)
    # These shift the latents as well as scale them, which the served graphs do not do.
    yield "vae: shift_factor", vae.get("shift_factor"), None
    yield "vae: latents_mean", vae.get("latents_mean"), None
    yield "reward: text_dim", configs["reward"].get("text_dim"), pooled
    if sources["denoiser"].component.name == "denoiser_dit":
        yield from dit_facts(configs, channels, pooled)
    else:
        yield from unet_facts(configs, channels, pooled)
    if sources["denoiser"].adapter is not None:
        yield from style_facts(sources, configs)


def unet_facts(configs: Mapping[str, Mapping[str, Any]], channels: int, pooled: int) -> Iterator[Fact]:
    """A UNet reads the states of both CLIP text encoders side by side."""
    unet = configs["denoiser"]
    states = configs["text_encoder_l"]["hidden_size"] + configs["text_encoder_g"]["hidden_size"]
    projected = pooled + 6 * (unet.get("addition_time_embed_dim") or 0)
    lengths = [configs[role].get("max_position_embeddings") for role in ("text_encoder_l", "text_encoder_g")]
    yield "text_encoder: max_position_embeddings", lengths[0], lengths[1]
    yield "unet: addition_embed_type", unet.get("addition_embed_type"), "text_time"
    yield "unet: in_channels", unet.get("in_channels"), 2 * channels + 1
    yield "unet: cross_attention_dim", unet.get("cross_attention_dim"), states
    yield (
        "unet: projection_class_embeddings_input_dim",
        unet.get("projection_class_embeddings_input_dim"),
        projected,
    )
    yield "unet: encoder_hid_dim_type", unet.get("encoder_hid_dim_type"), None
    yield "unet: time_cond_proj_dim", unet.get("time_cond_proj_dim"), None


def dit_facts(configs: Mapping[str, Mapping[str, Any]], channels: int, pooled: int) -> Iterator[Fact]:
    """A transformer reads T5's states, and the second CLIP text encoder's pooled embedding."""
    dit = configs["denoiser"]
    yield "transformer: in_channels", dit.get("in_channels"), 2 * channels + 1
    yield "transformer: out_channels", dit.get("out_channels"), channels
    yield "transformer: joint_attention_dim", dit.get("joint_attention_dim"), configs["text_encoder_t5"]["d_model"]
    yield "transformer: pooled_projection_dim", dit.get("pooled_projection_dim"), pooled


def style_facts(sources: Mapping[str, Source], configs: Mapping[str, Mapping[str, Any]]) -> Iterator[Fact]:
    """The projector lies between the two image encoders and the adapter's image attention."""
    projector, states = configs["image_projector"], configs["denoiser"]["cross_attention_dim"]
    clip = configs["image_encoder_clip"]
    yield "image_projector: uve_dim", projector.get("uve_dim"), configs["image_encoder_uve"].get("dim")
    yield "image_projector: clip_dim", projector.get("clip_dim"), clip.get("projection_dim")
    yield "image_projector: cross_attention_dim", projector.get("cross_attention_dim"), states
    adapter = sources["denoiser"].adapter
    assert adapter is not None
    for extent in extents(adapter.path):
        yield f"ip_adapter: the width of {extent.name}", extent.shape[-1], states
