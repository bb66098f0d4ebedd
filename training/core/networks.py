"""Builds every network of the pipelines, untrained, from the config."""

from __future__ import annotations

from typing import Any

from diffusers import (
    AsymmetricAutoencoderKL,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    LCMScheduler,
    SD3Transformer2DModel,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    T5Config,
    T5EncoderModel,
)

from export.networks.image_projector import ImageProjector
from export.networks.reward import RewardModel
from export.networks.segmenter import Segmenter
from export.networks.upscaler import Upscaler
from export.networks.uve import UVE
from training.config import Config


def _text_config(config: Config, hidden: int, heads: int, layers: int, act: str) -> CLIPTextConfig:
    text = config.text
    return CLIPTextConfig(
        vocab_size=text.vocab_size,
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        projection_dim=text.projection,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=text.max_length,
        hidden_act=act,
        bos_token_id=text.vocab_size - 2,
        eos_token_id=text.vocab_size - 1,
        pad_token_id=text.vocab_size - 1,
    )


def text_encoder_l(config: Config) -> CLIPTextModel:
    """The first text encoder; the denoiser uses its hidden states only."""
    text = config.text
    return CLIPTextModel(_text_config(config, text.hidden_l, text.heads_l, text.layers_l, "quick_gelu"))


def text_encoder_g(config: Config) -> CLIPTextModelWithProjection:
    """The second text encoder; the denoiser uses its hidden states and its projected, pooled embedding."""
    text = config.text
    return CLIPTextModelWithProjection(_text_config(config, text.hidden_g, text.heads_g, text.layers_g, "gelu"))


def vae(config: Config) -> AsymmetricAutoencoderKL:
    """The autoencoder (factor 8); its decoder also takes the masked picture and the mask."""
    v = config.vae
    levels = len(v.encoder_channels)
    return AsymmetricAutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        down_block_out_channels=v.encoder_channels,
        layers_per_down_block=v.encoder_layers,
        up_block_types=("UpDecoderBlock2D",) * levels,
        up_block_out_channels=v.decoder_channels,
        layers_per_up_block=v.decoder_layers,
        latent_channels=v.latent_channels,
        norm_num_groups=v.groups,
        sample_size=config.data.size,
        scaling_factor=1.0,
    )


def unet(config: Config, in_channels: int | None = None) -> UNet2DConditionModel:
    """The denoiser: noisy latents, mask and masked-image latents in (or `in_channels`), v-prediction out."""
    d, levels, latent = config.denoiser, len(config.denoiser.channels), config.vae.latent_channels
    return UNet2DConditionModel(
        sample_size=config.data.size // 8,
        in_channels=2 * latent + 1 if in_channels is None else in_channels,
        out_channels=latent,
        # Attention at 1/32 of the picture only: at higher resolutions it costs most and helps least.
        down_block_types=(*("DownBlock2D",) * (levels - 1), "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", *("UpBlock2D",) * (levels - 1)),
        block_out_channels=d.channels,
        layers_per_block=d.layers,
        attention_head_dim=d.heads,
        transformer_layers_per_block=1,
        cross_attention_dim=config.text.cross_attention_dim,
        use_linear_projection=True,
        norm_num_groups=d.groups,
        addition_embed_type="text_time",
        addition_time_embed_dim=d.time_embedding,
        projection_class_embeddings_input_dim=config.text.projection + 6 * d.time_embedding,
    )


def transformer(config: Config) -> SD3Transformer2DModel:
    """The DiT denoiser: the same nine input channels; it predicts the flow's velocity."""
    t, latent = config.transformer, config.vae.latent_channels
    width = t.heads * t.head_width
    return SD3Transformer2DModel(
        sample_size=config.data.size // 8,
        patch_size=2,
        in_channels=2 * latent + 1,
        out_channels=latent,
        num_layers=t.layers,
        num_attention_heads=t.heads,
        attention_head_dim=t.head_width,
        joint_attention_dim=config.t5.d_model,
        caption_projection_dim=width,
        pooled_projection_dim=config.text.projection,
        pos_embed_max_size=config.data.size // 16 * 2,
    )


def _schedule(config: Config) -> dict[str, Any]:
    """The schedule that all solvers of the v-prediction share."""
    s = config.schedule
    return {
        "num_train_timesteps": s.train_timesteps,
        "beta_start": s.beta_start,
        "beta_end": s.beta_end,
        "beta_schedule": "scaled_linear",
        "prediction_type": "v_prediction",
        "rescale_betas_zero_snr": s.zero_terminal,
    }


def scheduler(config: Config) -> DPMSolverMultistepScheduler:
    """DPM-Solver++ 2M, the default solver, on the training schedule."""
    scheduler = DPMSolverMultistepScheduler(
        **_schedule(config),
        algorithm_type="dpmsolver++",
        solver_order=2,
        # "trailing" starts at t = 999, where the training schedule ends; "leading" would skip the noisiest step.
        timestep_spacing="trailing",
    )
    # For DDIM and DDPM on the same config; latents go beyond ±1.
    scheduler.register_to_config(clip_sample=False, set_alpha_to_one=False)
    return scheduler


def lcm_scheduler(config: Config) -> LCMScheduler:
    """The consistency model's solver, on the same schedule."""
    return LCMScheduler(
        **_schedule(config),
        original_inference_steps=50,
        timestep_scaling=10.0,
    )


def flow_scheduler(config: Config) -> FlowMatchEulerDiscreteScheduler:
    """Euler's method for the flow."""
    return FlowMatchEulerDiscreteScheduler(
        num_train_timesteps=config.schedule.train_timesteps, shift=config.schedule.sampling_shift
    )


def reward(config: Config) -> RewardModel:
    """The reward model."""
    model: RewardModel = RewardModel(channels=config.small.reward_channels, text_dim=config.text.projection)
    return model


def segmenter(config: Config) -> Segmenter:
    """The product segmenter."""
    model: Segmenter = Segmenter(channels=config.small.segmenter_channels)
    return model


def upscaler(config: Config) -> Upscaler:
    """The upscaler, at factor 2."""
    model: Upscaler = Upscaler(channels=config.upscaler.channels, convolutions=config.upscaler.convolutions)
    return model


def uve(config: Config) -> UVE:
    """The unified visual embedding."""
    model: UVE = UVE(channels=config.uve.channels, dim=config.uve.dim)
    return model


def image_projector(config: Config) -> ImageProjector:
    """Turns both image embeddings into the tokens of the denoiser's image attention."""
    model: ImageProjector = ImageProjector(
        uve_dim=config.uve.dim,
        clip_dim=config.text.projection,
        tokens=config.denoiser.image_tokens,
        cross_attention_dim=config.text.cross_attention_dim,
    )
    return model


def image_encoder(config: Config) -> CLIPVisionModelWithProjection:
    """CLIP's image encoder; its projected embedding lies in the second text encoder's space."""
    c = config.image_encoder
    return CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            image_size=c.size,
            patch_size=c.patch,
            hidden_size=c.hidden,
            intermediate_size=4 * c.hidden,
            projection_dim=config.text.projection,
            num_hidden_layers=c.layers,
            num_attention_heads=c.heads,
            hidden_act="gelu",
        )
    )


def t5_encoder(config: Config) -> T5EncoderModel:
    """T5's encoder in the shape of SD3's third text encoder: gated GELU, no mask over the padding."""
    c, text = config.t5, config.text
    return T5EncoderModel(
        T5Config(
            vocab_size=text.vocab_size,
            d_model=c.d_model,
            d_kv=c.d_kv,
            d_ff=c.d_ff,
            num_layers=c.layers,
            num_heads=c.heads,
            feed_forward_proj="gated-gelu",
            dropout_rate=0.0,
            pad_token_id=text.vocab_size - 1,
            eos_token_id=text.vocab_size - 1,
            decoder_start_token_id=text.vocab_size - 1,
            is_encoder_decoder=False,
            use_cache=False,
        )
    )
