"""Folders that diffusers' own pipeline classes saved: four families at reduced width, with random FP32 weights.

Sizes are as small as the classes allow; the layout, the class names and the settings are those of published folders.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

TOKENS = 77
SIDE = 128
"""Pixels along a side of the pictures that the denoisers are configured for."""
START, END = "<|startoftext|>", "<|endoftext|>"
LETTERS = [chr(ord("a") + number) for number in range(26)]
WORDS = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), "!", "!</w>", START, END]
"""CLIP's vocabulary: single letters, inside a word and at its end."""
PIECES = ["<pad>", "</s>", "<unk>", "▁", *LETTERS]
"""T5's vocabulary."""
FLOW_WIDTH = 48
"""Of T5's states, which Stable Diffusion 3's transformer reads."""


def write_sd15_inpaint(folder: Path, **scheduler: Any) -> None:
    """Stable Diffusion 1.5 for inpainting: nine channels, one text encoder, PNDM with epsilon."""
    from diffusers import PNDMScheduler, StableDiffusionInpaintPipeline
    from transformers import CLIPTextModel

    seed()
    pipeline = StableDiffusionInpaintPipeline(
        vae=varied(vae(scaling_factor=0.18215)),
        text_encoder=varied(clip(CLIPTextModel, width=24)),
        tokenizer=clip_tokenizer(),
        unet=varied(unet(9, cross_attention_dim=24)),
        scheduler=PNDMScheduler(**(BETAS | {"skip_prk_steps": True} | scheduler)),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)


def write_sdxl(folder: Path, **scheduler: Any) -> None:
    """SDXL: four channels, two text encoders, Euler with epsilon."""
    from diffusers import StableDiffusionXLPipeline

    StableDiffusionXLPipeline(**xl_parts(4, scheduler)).save_pretrained(folder)


def write_sdxl_inpaint(folder: Path, **scheduler: Any) -> None:
    """SDXL for inpainting: the same with nine channels."""
    from diffusers import StableDiffusionXLInpaintPipeline

    StableDiffusionXLInpaintPipeline(**xl_parts(9, scheduler)).save_pretrained(folder)


def write_sd3(folder: Path, **scheduler: Any) -> None:
    """Stable Diffusion 3: a transformer, two CLIP encoders with projections, T5, shifted latents, a flow."""
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline
    from transformers import CLIPTextModelWithProjection

    seed()
    transformer = SD3Transformer2DModel(
        sample_size=SIDE // 8,
        in_channels=16,
        out_channels=16,
        num_layers=2,
        num_attention_heads=2,
        attention_head_dim=16,
        joint_attention_dim=FLOW_WIDTH,
        caption_projection_dim=32,
        pooled_projection_dim=12 + 20,
        pos_embed_max_size=SIDE // 8,
    )
    shifted = {"shift_factor": 0.0609, "use_quant_conv": False, "use_post_quant_conv": False}
    pipeline = StableDiffusion3Pipeline(
        transformer=varied(transformer),
        scheduler=FlowMatchEulerDiscreteScheduler(**({"shift": 3.0} | scheduler)),
        vae=varied(vae(latent_channels=16, scaling_factor=1.5305, **shifted)),
        text_encoder=varied(clip(CLIPTextModelWithProjection, width=16, projection=12)),
        tokenizer=clip_tokenizer(),
        text_encoder_2=varied(clip(CLIPTextModelWithProjection, width=24, act="gelu", projection=20)),
        tokenizer_2=clip_tokenizer(pad="!"),
        text_encoder_3=varied(t5()),
        tokenizer_3=t5_tokenizer(),
    )
    pipeline.save_pretrained(folder)


FAMILIES: dict[str, Callable[..., None]] = {
    "sd15-inpaint": write_sd15_inpaint,
    "sdxl": write_sdxl,
    "sdxl-inpaint": write_sdxl_inpaint,
    "sd3": write_sd3,
}
"""By the name of the folder. Keyword arguments are settings of the scheduler."""
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}


def seed() -> None:
    """The weights of a folder are the same each time."""
    import torch

    torch.manual_seed(0)


def varied(model: Any) -> Any:
    """The model with noise on every weight: norms and zero-initialised layers then differ from the identity."""
    import torch

    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.eval()


def xl_parts(channels: int, scheduler: dict[str, Any]) -> dict[str, Any]:
    """What both pipelines of SDXL are made from."""
    from diffusers import EulerDiscreteScheduler
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    seed()
    pooled = 20
    denoiser = unet(
        channels,
        cross_attention_dim=24 + 32,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=pooled + 6 * 8,
    )
    return {
        "vae": varied(vae(scaling_factor=0.13025)),
        "text_encoder": varied(clip(CLIPTextModel, width=24)),
        "text_encoder_2": varied(clip(CLIPTextModelWithProjection, width=32, act="gelu", projection=pooled)),
        "tokenizer": clip_tokenizer(),
        "tokenizer_2": clip_tokenizer(pad="!"),
        "unet": varied(denoiser),
        "scheduler": EulerDiscreteScheduler(**(BETAS | {"timestep_spacing": "leading"} | scheduler)),
    }


def unet(channels: int, **settings: Any) -> Any:
    """A UNet with attention at half the resolution of the latents."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=SIDE // 8,
        in_channels=channels,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(16, 32),
        layers_per_block=1,
        attention_head_dim=(1, 2),
        norm_num_groups=4,
        **settings,
    )


def vae(latent_channels: int = 4, **settings: Any) -> Any:
    """A plain VAE that makes one latent of 8 × 8 pixels."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        latent_channels=latent_channels,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(4, 4, 8, 8),
        norm_num_groups=2,
        sample_size=SIDE,
        **settings,
    )


def clip(cls: Any, *, width: int, act: str = "quick_gelu", projection: int = 16) -> Any:
    """A CLIP text encoder."""
    from transformers import CLIPTextConfig

    config = CLIPTextConfig(
        vocab_size=len(WORDS),
        hidden_size=width,
        intermediate_size=2 * width,
        projection_dim=projection,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=TOKENS,
        hidden_act=act,
        bos_token_id=WORDS.index(START),
        eos_token_id=WORDS.index(END),
        pad_token_id=WORDS.index(END),
    )
    return cls(config)


def t5() -> Any:
    """A T5 encoder."""
    from transformers import T5Config, T5EncoderModel

    config = T5Config(
        vocab_size=len(PIECES),
        d_model=FLOW_WIDTH,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=2,
        feed_forward_proj="gated-gelu",
        pad_token_id=PIECES.index("<pad>"),
        eos_token_id=PIECES.index("</s>"),
    )
    return T5EncoderModel(config)


def clip_tokenizer(pad: str = END) -> Any:
    """A tokenizer of single letters. SDXL's and Stable Diffusion 3's second ones pad with "!"."""
    from transformers import CLIPTokenizer

    vocabulary = {word: number for number, word in enumerate(WORDS)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], pad_token=pad, model_max_length=TOKENS)


def t5_tokenizer() -> Any:
    """A tokenizer of single letters."""
    from transformers import T5Tokenizer

    scores = [(piece, -float(number)) for number, piece in enumerate(PIECES)]
    return T5Tokenizer(vocab=scores, extra_ids=0, model_max_length=512)
