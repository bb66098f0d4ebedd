"""Conventions compared with diffusers' and transformers' own functions, on the same pictures, noise and networks."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from backdrop.contract.canvas import Canvas
from backdrop.contract.geometry import Size
from orchestrator.arrays import Floats
from orchestrator.imaging.clip_square import clip_square
from orchestrator.imaging.frame import frame_of
from orchestrator.imaging.view import view_of
from orchestrator.sampler import NoiseStream, Schedule, State, make_solver, read_schedule
from orchestrator.stages.blend import Blend
from orchestrator.stages.denoise import denoise
from orchestrator.stages.style import to_model
from tests.pictures import ellipse_mask, noisy_photo

SIDE, LATENT, STEPS, SEED = 64, 8, 4, 5
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SPACED = {"num_train_timesteps": 1000, "timestep_spacing": "leading", "steps_offset": 1}


@pytest.mark.parametrize("size", [Size(SIDE, SIDE), Size(2 * SIDE, 2 * SIDE)], ids=["same", "halved"])
def test_masks_are_cut_and_shrunk_as_by_diffusers(size: Size) -> None:
    import torch
    from diffusers import StableDiffusionInpaintPipeline
    from diffusers.image_processor import VaeImageProcessor

    photo = noisy_photo(size.width, size.height)
    make = 255 - ellipse_mask(size.width, size.height, soft=True)
    frame = frame_of(Canvas(photo, make, None), [Size(SIDE, SIDE)])
    view = view_of(frame, SIDE // LATENT, hard=True)
    processor = VaeImageProcessor(do_normalize=False, do_binarize=True, do_convert_grayscale=True)
    expected = processor.preprocess(Image.fromarray(make), height=SIDE, width=SIDE)
    assert np.array_equal(view.mask, expected[0].numpy())
    latents = torch.zeros(1, 4, LATENT, LATENT)
    owner: Any = SimpleNamespace(vae_scale_factor=SIDE // LATENT)
    small, _ = StableDiffusionInpaintPipeline.prepare_mask_latents(
        owner, expected, latents, 1, SIDE, SIDE, torch.float32, "cpu", None, do_classifier_free_guidance=False
    )
    assert np.array_equal(view.latent_mask, small[0].numpy())
    if size == Size(SIDE, SIDE):
        # Another size is resampled without colour from where nothing is known, which diffusers does not keep out.
        image = VaeImageProcessor().preprocess(Image.fromarray(photo), height=SIDE, width=SIDE)
        np.testing.assert_allclose(view.known, (image * (expected < 0.5))[0].numpy(), atol=1e-6)


@pytest.mark.parametrize(("width", "height"), [(300, 224), (97, 301), (40, 64), (224, 224), (20, 90)])
def test_style_pictures_are_preprocessed_as_by_clip(width: int, height: int) -> None:
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    photo = noisy_photo(width, height)
    processor = CLIPImageProcessorPil(size={"shortest_edge": 48}, crop_size={"height": 40, "width": 40})
    expected = processor(Image.fromarray(photo), return_tensors="np").pixel_values[0]
    mean, std = (np.array(values)[:, None, None] for values in (processor.image_mean, processor.image_std))
    pixels = to_model(clip_square(photo, 48, 40))
    # Of a picture whose sides are 1 : 5, the middle alone is resampled, at a scale that is a hair's breadth off.
    np.testing.assert_allclose(pixels / 2 + 0.5, expected * std + mean, atol=1e-5 if width != 20 else 2 / 255)


def test_zeros_stand_for_a_missing_negative_prompt_as_in_sdxl() -> None:
    import torch
    from diffusers import StableDiffusionXLPipeline

    states, pooled = torch.ones(1, 7, 6), torch.ones(1, 4)
    owner: Any = SimpleNamespace(
        config=SimpleNamespace(force_zeros_for_empty_prompt=True),
        tokenizer=None, tokenizer_2=None, text_encoder=None, text_encoder_2=None,
        unet=SimpleNamespace(dtype=torch.float32),
    )  # fmt: skip
    _, negative, _, negative_pooled = StableDiffusionXLPipeline.encode_prompt(
        owner, None, device=torch.device("cpu"), prompt_embeds=states, pooled_prompt_embeds=pooled
    )
    assert negative.shape == states.shape
    assert not negative.any()
    assert not negative_pooled.any()


def tiny_vae(channels: int) -> Any:
    """A VAE that only says how many pixels a latent stands for."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(4,) * 4, norm_num_groups=2, latent_channels=channels, shift_factor=0.0,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    )  # fmt: skip


def unet_pipeline(scheduler: Any) -> Any:
    """Stable Diffusion's inpainting pipeline over a tiny UNet of 4 channels, without text encoder and VAE's work."""
    import torch
    from diffusers import StableDiffusionInpaintPipeline, UNet2DConditionModel

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=LATENT, block_out_channels=(8, 16), layers_per_block=1, cross_attention_dim=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=2, norm_num_groups=4,
    )  # fmt: skip
    parts: Any = {"text_encoder": None, "tokenizer": None, "safety_checker": None, "feature_extractor": None}
    pipeline = StableDiffusionInpaintPipeline(
        vae=tiny_vae(4), unet=unet, scheduler=scheduler, requires_safety_checker=False, **parts
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def latents_of(seed: int) -> Floats:
    """Clean latents, or states of a prompt."""
    return np.tanh(NoiseStream(seed).initial((4, LATENT, LATENT)))


async def blended(
    predict: Callable[[Floats, float], Floats], solver_name: str, schedule: Schedule, known: Floats, mask: Floats
) -> Floats:
    """What our loop makes of pure noise with known latents [C, h, w]; `mask` [H, W] is 255 where pixels are made."""

    async def denoiser(sample: Floats, timestep: float, step: int, steps: int, *, again: bool = False) -> Floats:
        return predict(sample, timestep)

    size = Size(mask.shape[1], mask.shape[0])
    frame = frame_of(Canvas(np.zeros((*mask.shape, 3), np.uint8), mask.astype(np.uint8), None), [size])
    view = view_of(frame, SIDE // LATENT, hard=True)
    solver, noise = make_solver(solver_name, schedule, STEPS), NoiseStream(SEED)
    begin = solver.begin(noise.initial(known.shape))
    loop: Any = denoiser
    state: State = await denoise(loop, solver, noise, begin, STEPS, lambda state: None, Blend(known, view.latent_mask))
    assert state.predicted_clean is not None
    np.testing.assert_array_equal(
        np.where(view.latent_mask == 0, state.predicted_clean, 0), np.where(view.latent_mask == 0, known, 0)
    )
    return state.sample


@pytest.mark.parametrize("solver", ["ddim", "euler", "dpmpp_2m", "ddpm", "lcm"])
async def test_known_latents_are_blended_as_by_the_inpainting_pipeline(solver: str) -> None:
    import diffusers
    import torch
    from diffusers.schedulers import scheduling_ddpm, scheduling_lcm

    kinds: dict[str, tuple[Any, dict[str, Any]]] = {
        "ddim": (diffusers.DDIMScheduler, {"clip_sample": False, "set_alpha_to_one": False}),
        "euler": (diffusers.EulerDiscreteScheduler, {}),
        "dpmpp_2m": (diffusers.DPMSolverMultistepScheduler, {}),
        "ddpm": (diffusers.DDPMScheduler, {"clip_sample": False}),
        "lcm": (diffusers.LCMScheduler, {}),
    }
    cls, options = kinds[solver]
    pipeline = unet_pipeline(cls(**BETAS, **SPACED, **options))
    known, mask = latents_of(1), 255 - ellipse_mask(SIDE, SIDE, soft=True)
    words = torch.from_numpy(latents_of(2)[0])[None]
    noise = NoiseStream(SEED)
    draws = (torch.from_numpy(noise.at_step(step, known.shape))[None] for step in itertools.count())
    drawing = scheduling_lcm if solver == "lcm" else scheduling_ddpm
    with mock.patch.object(drawing, "randn_tensor", side_effect=lambda *_, **__: next(draws)):
        expected = pipeline(
            prompt_embeds=words, image=torch.from_numpy(known)[None], mask_image=Image.fromarray(mask),
            masked_image_latents=torch.zeros(1, 4, LATENT, LATENT), height=SIDE, width=SIDE,
            latents=torch.from_numpy(noise.initial(known.shape))[None],
            num_inference_steps=STEPS, guidance_scale=1.0, output_type="latent",
        ).images[0].numpy()  # fmt: skip

    def predict(sample: Floats, timestep: float) -> Floats:
        with torch.no_grad():
            output: Floats = pipeline.unet(torch.from_numpy(sample)[None], timestep, words).sample[0].numpy()
        return output

    schedule = read_schedule({**BETAS, **SPACED, "prediction_type": "epsilon"})
    result = await blended(predict, solver, schedule, known, mask)
    np.testing.assert_allclose(result, expected, atol=2e-5)
    assert np.abs(expected - known).max() > 0.1, "something was made"


async def test_a_flow_blends_as_stable_diffusion_3_does() -> None:
    import torch
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3InpaintPipeline

    torch.manual_seed(0)
    transformer = SD3Transformer2DModel(
        sample_size=LATENT, in_channels=16, out_channels=16, num_layers=1, num_attention_heads=2,
        attention_head_dim=8, joint_attention_dim=8, caption_projection_dim=16, pooled_projection_dim=8,
        pos_embed_max_size=LATENT,
    )  # fmt: skip
    parts: Any = dict.fromkeys(
        ("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2", "text_encoder_3", "tokenizer_3")
    )
    pipeline: Any = StableDiffusion3InpaintPipeline(
        transformer=transformer, vae=tiny_vae(16), scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0), **parts
    )
    pipeline.set_progress_bar_config(disable=True)
    noise, mask = NoiseStream(SEED), 255 - ellipse_mask(SIDE, SIDE, soft=True)
    known = np.tanh(NoiseStream(1).initial((16, LATENT, LATENT)))
    words, pooled = torch.from_numpy(latents_of(2)[0])[None], torch.ones(1, 8)
    expected = pipeline(
        prompt_embeds=words, pooled_prompt_embeds=pooled, image=torch.from_numpy(known)[None],
        mask_image=Image.fromarray(mask), masked_image_latents=torch.zeros(1, 16, LATENT, LATENT),
        height=SIDE, width=SIDE, latents=torch.from_numpy(noise.initial(known.shape))[None],
        num_inference_steps=STEPS, guidance_scale=1.0, strength=1.0, output_type="latent",
    ).images[0].numpy()  # fmt: skip

    def predict(sample: Floats, timestep: float) -> Floats:
        with torch.no_grad():
            output = transformer(torch.from_numpy(sample)[None], words, pooled, torch.tensor([timestep])).sample
        prediction: Floats = output[0].numpy()
        return prediction

    schedule = read_schedule({"num_train_timesteps": 1000, "prediction_type": "flow", "shift": 3.0})
    result = await blended(predict, "flow_euler", schedule, known, mask)
    np.testing.assert_allclose(result, expected, atol=2e-5)
