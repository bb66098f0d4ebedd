"""Whether a pipeline's components fit each other, so that no graph is exported that the next one cannot feed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from export.errors import BadFolderError
from export.ip_adapters import PROJECTOR
from export.layout import Source
from export.tensor_files import extents

Fact = tuple[str, object, object]
"""What is compared, its value, and the value that is needed."""


def check_widths(sources: Mapping[str, Source]) -> None:
    """Compares the configs of a pipeline's components, given by role.

    Raises:
        BadFolderError: with the first width that does not fit.
    """
    for what, actual, expected in facts(sources):
        if actual != expected:
            raise BadFolderError(f"{what} is {actual}; this pipeline needs {expected}.")


def facts(sources: Mapping[str, Source]) -> Iterator[Fact]:
    """Everything that must be equal."""
    configs = {role: source.config for role, source in sources.items()}
    vae = configs["vae_encoder"]
    channels = int(vae.get("latent_channels") or 0)
    # Scaling and one shift are in the served graphs; a mean and spread for every channel are not.
    yield "vae: latents_mean", vae.get("latents_mean"), None
    if sources["denoiser"].kind.name == "denoiser_dit":
        yield from dit_facts(configs, channels)
    else:
        yield from unet_facts(configs, channels)
    yield from stored_facts(sources)
    if sources["denoiser"].adapter is not None:
        yield from style_facts(sources, configs)


def stored_facts(sources: Mapping[str, Source]) -> Iterator[Fact]:
    """The tensors that reveal a config which was edited, or copied from another model.

    All the others are compared when the weights are loaded, which takes longer.
    """
    settings = {
        ("denoiser", "conv_in.weight", 1): "in_channels",
        ("denoiser", "conv_out.weight", 0): "out_channels",
        ("denoiser", "pos_embed.proj.weight", 1): "in_channels",
        ("denoiser", "context_embedder.weight", 1): "joint_attention_dim",
        ("vae_encoder", "decoder.conv_in.weight", 1): "latent_channels",
        ("text_encoder_g", "text_projection.weight", 0): "projection_dim",
    }
    for role, source in sources.items():
        shapes = {extent.name: extent.shape for path in source.weights for extent in extents(path)}
        for (owner, tensor, axis), setting in settings.items():
            if owner == role and tensor in shapes and setting in source.config:
                what = f"{source.kind.folder}/config.json: {setting}"
                yield what, source.config[setting], shapes[tensor][axis]


def picture_facts(what: str, denoiser: Mapping[str, Any], channels: int) -> Iterator[Fact]:
    """A denoiser reads the latents, and one that inpaints the mask and the masked picture's latents after them."""
    channels_in = denoiser.get("in_channels")
    yield f"{what}: in_channels", channels_in, channels if channels_in == channels else 2 * channels + 1
    yield f"{what}: out_channels", denoiser.get("out_channels", channels), channels


def unet_facts(configs: Mapping[str, Mapping[str, Any]], channels: int) -> Iterator[Fact]:
    """SDXL's UNet reads the states of both CLIP text encoders side by side, other UNets those of one."""
    unet, encoders = configs["denoiser"], ("text_encoder_l", "text_encoder_g")
    states = sum(configs[role]["hidden_size"] for role in encoders if role in configs)
    yield from picture_facts("unet", unet, channels)
    yield "unet: cross_attention_dim", unet.get("cross_attention_dim"), states
    yield "unet: encoder_hid_dim_type", unet.get("encoder_hid_dim_type"), None
    yield "unet: time_cond_proj_dim", unet.get("time_cond_proj_dim"), None
    yield "unet: class_embed_type", unet.get("class_embed_type"), None
    if "text_encoder_g" not in configs:
        return
    lengths = [configs[role].get("max_position_embeddings") for role in encoders]
    projected = configs["text_encoder_g"]["projection_dim"] + 6 * (unet.get("addition_time_embed_dim") or 0)
    yield "text_encoder: max_position_embeddings", lengths[0], lengths[1]
    yield "unet: addition_embed_type", unet.get("addition_embed_type"), "text_time"
    yield (
        "unet: projection_class_embeddings_input_dim",
        unet.get("projection_class_embeddings_input_dim"),
        projected,
    )


def dit_facts(configs: Mapping[str, Mapping[str, Any]], channels: int) -> Iterator[Fact]:
    """A transformer reads T5's states, and the pooled embeddings of the CLIP text encoders."""
    dit = configs["denoiser"]
    clip = [configs[role] for role in ("text_encoder_l", "text_encoder_g") if role in configs]
    yield from picture_facts("transformer", dit, channels)
    yield "transformer: joint_attention_dim", dit.get("joint_attention_dim"), configs["text_encoder_t5"]["d_model"]
    pooled = sum(config["projection_dim"] for config in clip)
    yield "transformer: pooled_projection_dim", dit.get("pooled_projection_dim"), pooled


def style_facts(sources: Mapping[str, Source], configs: Mapping[str, Mapping[str, Any]]) -> Iterator[Fact]:
    """The projector lies between the two image encoders and the adapter's image attention."""
    projector, states = configs["image_projector"], configs["denoiser"]["cross_attention_dim"]
    clip = configs["image_encoder_clip"]
    uve = configs["image_encoder_uve"].get("dim") if "image_encoder_uve" in configs else 0
    yield "image_projector: uve_dim", projector.get("uve_dim"), uve
    yield "image_projector: clip_dim", projector.get("clip_dim"), clip.get("projection_dim")
    yield "image_projector: cross_attention_dim", projector.get("cross_attention_dim"), states
    adapter = sources["denoiser"].adapter
    assert adapter is not None
    for extent in extents(adapter.path):
        if extent.name.startswith(PROJECTOR):
            continue
        yield f"ip_adapter: the width of {extent.name}", extent.shape[-1], states
