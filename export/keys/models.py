"""Keys of the configs of diffusers' models: denoisers and VAEs."""

from __future__ import annotations

from collections.abc import Mapping

from export.keys.rules import Needed, NoEffect, Only, Read, Rule
from export.keys.values import COUNT, COUNTS, NUMBER, OPTIONAL_COUNT, OPTIONAL_NUMBER, SIDES, whole

Table = Mapping[str, Rule]

TRACED = Read("diffusers' class, of which the graph is traced")
EXPORT = Read("the export")
TRAINING = NoEffect("of training alone")


def traced(*names: str) -> Table:
    """Keys that decide the arithmetic of diffusers' own class."""
    return dict.fromkeys(names, TRACED)


UNET: Table = {
    **traced("center_input_sample", "flip_sin_to_cos", "freq_shift", "down_block_types", "mid_block_type"),
    **traced("up_block_types", "block_out_channels", "layers_per_block", "downsample_padding"),
    **traced("mid_block_scale_factor", "act_fn", "norm_num_groups", "norm_eps", "transformer_layers_per_block"),
    **traced("reverse_transformer_layers_per_block", "attention_head_dim", "num_attention_heads"),
    **traced("use_linear_projection", "upcast_attention", "resnet_time_scale_shift", "resnet_skip_time_act"),
    **traced("resnet_out_scale_factor", "time_embedding_type", "time_embedding_dim", "time_embedding_act_fn"),
    **traced("timestep_post_act", "conv_in_kernel", "conv_out_kernel"),
    "sample_size": Needed(SIDES, None),
    "in_channels": Needed(COUNT, 4),
    "out_channels": Needed(COUNT, 4),
    "cross_attention_dim": Needed(COUNT, 1280),
    "addition_time_embed_dim": Needed(OPTIONAL_COUNT, None),
    "projection_class_embeddings_input_dim": Needed(OPTIONAL_COUNT, None),
    "addition_embed_type": Only((None, "text_time"), "only SDXL's pooled text and sizes are served"),
    "addition_embed_type_num_heads": NoEffect("read with addition_embed_type text alone"),
    "dropout": TRAINING,
    "only_cross_attention": Only((False,), "cross-attention in place of self-attention is not served"),
    "mid_block_only_cross_attention": Only((None, False), "cross-attention in place of self-attention is not served"),
    "cross_attention_norm": Only((None,), "norms of the text states inside attention are not served"),
    "dual_cross_attention": Only((False,), "two text conditions are not served"),
    "attention_type": Only(("default",), "GLIGEN's grounding inputs are not served"),
    "encoder_hid_dim": Only((None,), "projected text states are not served"),
    "encoder_hid_dim_type": Only((None,), "projected text states are not served"),
    "time_cond_proj_dim": Only((None,), "a guidance scale as input of the denoiser is not served"),
    "class_embed_type": Only((None,), "class labels are not served"),
    "num_class_embeds": Only((None,), "class labels are not served"),
    "class_embeddings_concat": Only((False,), "class labels are not served"),
}
TRANSFORMER: Table = {
    **traced("num_layers", "attention_head_dim", "num_attention_heads", "caption_projection_dim"),
    **traced("dual_attention_layers", "qk_norm"),
    "sample_size": Needed(COUNT, 128),
    "patch_size": Needed(COUNT, 2),
    "in_channels": Needed(COUNT, 16),
    "out_channels": Needed(COUNT, 16),
    "joint_attention_dim": Needed(COUNT, 4096),
    "pooled_projection_dim": Needed(COUNT, 2048),
    "pos_embed_max_size": Needed(COUNT, 96),
}
_CHANNEL_STATISTICS = Only((None,), "a mean and deviation for every latent channel are not served")
_VAE: Table = {
    **traced("down_block_types", "up_block_types", "act_fn", "norm_num_groups"),
    "in_channels": Only((3,), "pictures have three channels"),
    "out_channels": Only((3,), "pictures have three channels"),
    "latent_channels": Needed(COUNT, 4),
    "scaling_factor": Needed(NUMBER, 0.18215),
    "sample_size": NoEffect("read by tiling alone"),
    "force_upcast": NoEffect("--precision decides, and the graph is compared with torch in FP32"),
}
VAE: Table = {
    **_VAE,
    **traced("layers_per_block", "use_quant_conv", "use_post_quant_conv", "mid_block_add_attention"),
    "block_out_channels": Needed(COUNTS, [64]),
    "shift_factor": Needed(OPTIONAL_NUMBER, None),
    "latents_mean": _CHANNEL_STATISTICS,
    "latents_std": _CHANNEL_STATISTICS,
}
ASYMMETRIC_VAE: Table = {
    **_VAE,
    **traced("layers_per_down_block", "layers_per_up_block", "up_block_out_channels"),
    "down_block_out_channels": Needed(COUNTS, [64]),
    "block_out_channels": NoEffect("written by diffusers beside down_block_out_channels"),
}
IMAGE_PROJECTOR: Table = {
    "uve_dim": Needed(whole("an integer from 0 on", 0), 128),
    "clip_dim": Needed(COUNT, 160),
    "tokens": Needed(COUNT, 4),
    "cross_attention_dim": Needed(COUNT, 256),
}
"""Of Backdrop's own class."""
