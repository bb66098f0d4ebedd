"""Folders as other people publish them, at reduced width: Stable Diffusion 1.5 for inpainting, Stable Diffusion 3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.export.tiny import T5_TOKENS, TOKENS, VOCABULARY, half, write_tokenizer


def clip(cls: Any, act: str = "quick_gelu", projection: int = 16) -> Any:
    """A CLIP text encoder."""
    from transformers import CLIPTextConfig

    config = CLIPTextConfig(
        vocab_size=VOCABULARY,
        hidden_size=24,
        intermediate_size=48,
        projection_dim=projection,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=TOKENS,
        hidden_act=act,
        bos_token_id=VOCABULARY - 2,
        eos_token_id=VOCABULARY - 1,
        pad_token_id=VOCABULARY - 1,
    )
    return cls(config)


def vae(**settings: Any) -> Any:
    """A plain VAE that makes one latent of 8 x 8 pixels."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(4, 4, 8, 8),
        norm_num_groups=2,
        sample_size=64,
        **settings,
    )


def write_sd15(folder: Path) -> None:
    """runwayml's inpainting layout: nine channels, one text encoder, PNDM with epsilon."""
    import torch
    from diffusers import PNDMScheduler, UNet2DConditionModel
    from transformers import CLIPTextModel

    torch.manual_seed(0)
    half(clip(CLIPTextModel), folder / "text_encoder")
    half(vae(latent_channels=4, scaling_factor=0.18215), folder / "vae")
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=9,
        out_channels=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(8, 16),
        layers_per_block=1,
        attention_head_dim=2,
        cross_attention_dim=24,
        norm_num_groups=4,
    )
    half(unet, folder / "unet")
    PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1
    ).save_pretrained(folder / "scheduler")
    write_tokenizer(folder / "tokenizer")


def write_sd3(folder: Path) -> None:
    """Stability's layout: a transformer, two CLIP encoders with projections, T5, a VAE whose latents are shifted."""
    import torch
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel
    from transformers import CLIPTextModelWithProjection, T5Config, T5EncoderModel

    torch.manual_seed(0)
    half(clip(CLIPTextModelWithProjection, projection=12), folder / "text_encoder")
    half(clip(CLIPTextModelWithProjection, "gelu", projection=20), folder / "text_encoder_2")
    t5 = T5Config(
        vocab_size=VOCABULARY,
        d_model=48,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=2,
        feed_forward_proj="gated-gelu",
        pad_token_id=VOCABULARY - 1,
        eos_token_id=VOCABULARY - 1,
    )
    half(T5EncoderModel(t5), folder / "text_encoder_3")
    half(
        vae(
            latent_channels=16,
            scaling_factor=1.5305,
            shift_factor=0.0609,
            use_quant_conv=False,
            use_post_quant_conv=False,
        ),
        folder / "vae",
    )
    transformer = SD3Transformer2DModel(
        sample_size=8,
        in_channels=16,
        out_channels=16,
        num_layers=2,
        num_attention_heads=2,
        attention_head_dim=16,
        joint_attention_dim=48,
        caption_projection_dim=32,
        pooled_projection_dim=12 + 20,
        pos_embed_max_size=12,
    )
    half(transformer, folder / "transformer")
    FlowMatchEulerDiscreteScheduler(shift=3.0).save_pretrained(folder / "scheduler")
    for name in ("tokenizer", "tokenizer_2"):
        write_tokenizer(folder / name)
    write_tokenizer(folder / "tokenizer_3", model_max_length=T5_TOKENS)
