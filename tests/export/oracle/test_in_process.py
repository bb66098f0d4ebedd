"""Pictures served in process beside those of diffusers' own pipeline object on the same folder, with the same noise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from backdrop.contract.arrays import blend
from backdrop.contract.vocabulary import SCHEDULER_VALUES
from backdrop.v1 import generation_service_pb2 as pb
from export.schedule.classes import CLASS_OF
from orchestrator.sampler import NoiseStream
from tests.export.oracle.extras import add_style, load_style
from tests.export.oracle.folders import FAMILIES, SIDE
from tests.export.oracle.in_process import Bytes, InProcess
from tests.messages import generate_request
from tests.pictures import ellipse_mask, encoded

SEED, STEPS, PROMPT = 7, 4, "a b c"
PIPELINES = {
    "sd15-inpaint": ("", "StableDiffusionInpaintPipeline"),
    "sdxl": ("StableDiffusionXLPipeline", "StableDiffusionXLInpaintPipeline"),
    "sdxl-inpaint": ("", "StableDiffusionXLInpaintPipeline"),
    "sd3": ("StableDiffusion3Pipeline", "StableDiffusion3InpaintPipeline"),
}
"""diffusers' classes by family: from words, and with a mask."""
IMAGE_TO_IMAGE = {
    "sdxl": ("StableDiffusionXLImg2ImgPipeline", "stable_diffusion_xl.pipeline_stable_diffusion_xl"),
    "sd3": ("StableDiffusion3Img2ImgPipeline", "stable_diffusion_3.pipeline_stable_diffusion_3"),
}
MASK = np.invert(ellipse_mask(SIDE, SIDE, soft=True))


def smooth(seed: int, width: int = SIDE, height: int = SIDE) -> Bytes:
    """A photo without noise, which a random VAE would make more of than a trained one."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


class Bench:
    """A folder of one family, and both servers of it."""

    def __init__(self, family: str, base: Path, prepare: Callable[[Path], None] = lambda folder: None) -> None:
        self.family, self.folder = family, base / family
        FAMILIES[family](self.folder)
        prepare(self.folder)
        (base / "served").mkdir()
        self.served = InProcess(self.folder, base / "served")

    async def ours(self, task: str, **fields: Any) -> Bytes:
        """Our picture."""
        return await self.served.picture(generate_request(task, prompt=PROMPT, seed=SEED, steps=STEPS, **fields))

    def theirs(self, cls: str, adapt: Callable[[Any], None] | None = None, **arguments: Any) -> Bytes:
        """diffusers' picture. Its VAE returns the posterior's mean, as ours does, and no sample."""
        import diffusers
        import torch
        from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

        pipeline = getattr(diffusers, cls).from_pretrained(self.folder)
        pipeline.set_progress_bar_config(disable=True)
        if adapt is not None:
            adapt(pipeline)
        if "strength" not in arguments or arguments["strength"] == 1.0:
            # From image to image no noise can be handed over.
            shape = (self.served.spec.latent_channels, SIDE // 8, SIDE // 8)
            arguments |= {"latents": torch.from_numpy(NoiseStream(SEED).initial(shape))[None]}
        if "image" not in arguments or "mask_image" in arguments:
            arguments |= {"height": SIDE, "width": SIDE}
        with mock.patch.object(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mean):
            result = pipeline(
                prompt=PROMPT,
                num_inference_steps=STEPS,
                guidance_scale=self.served.spec.default_guidance_scale,
                **arguments,
            )
        return np.asarray(result.images[0])

    def masked(self, adapt: Callable[[Any], None] | None = None, **arguments: Any) -> Bytes:
        """diffusers' picture of a masked request, the known pixels put back as the server does."""
        photo, cls = smooth(1), PIPELINES[self.family][1]
        arguments |= {"image": Image.fromarray(photo), "mask_image": Image.fromarray(MASK), "strength": 1.0}
        scene = self.theirs(cls, shifted if self.family == "sd3" else adapt, **arguments)
        return blend(np.invert(MASK), photo, scene)


def shifted(pipeline: Any) -> None:
    """Adds the shift of latents, which diffusers' inpainting pipeline of Stable Diffusion 3 leaves out."""
    decode, shift = pipeline.vae.decode, pipeline.vae.config.shift_factor
    pipeline.vae.decode = lambda latents, **options: decode(latents + shift, **options)


@pytest.fixture(
    scope="module",
    params=[family if family == "sdxl" else pytest.param(family, marks=pytest.mark.full) for family in PIPELINES],
)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A family, loaded once."""
    return Bench(request.param, tmp_path_factory.mktemp(request.param))


def largest(ours: Bytes, theirs: Bytes) -> int:
    """The largest difference of two pictures, of 255."""
    assert ours.shape == theirs.shape
    return int(np.abs(ours.astype(np.int16) - theirs).max())


@pytest.mark.parametrize("negative", ["", "d e"])
async def test_a_picture_from_words_is_diffusers(negative: str, bench: Bench) -> None:
    if not (cls := PIPELINES[bench.family][0]):
        pytest.skip("diffusers makes no picture from words alone with a denoiser of 9 channels")
    # diffusers calls a missing negative prompt None; an empty one is encoded there.
    expected = bench.theirs(cls, negative_prompt=negative or None)
    assert largest(await bench.ours("text_to_image", negative_prompt=negative), expected) <= 1
    assert expected.std() > 5, "a picture of something"


@pytest.mark.parametrize("negative", ["", "d e"])
async def test_a_picture_with_a_soft_mask_is_diffusers(negative: str, bench: Bench) -> None:
    fields = {"picture": encoded(smooth(1)), "mask": encoded(MASK), "negative_prompt": negative}
    assert largest(await bench.ours("fill", **fields), bench.masked(negative_prompt=negative or None)) <= 1


@pytest.mark.full
@pytest.mark.parametrize("strength", [0.5, 0.75])  # whole steps: where not, Stable Diffusion 3's class takes one more
async def test_a_varied_picture_is_that_of_diffusers_from_image_to_image(strength: float, bench: Bench) -> None:
    import torch

    if bench.family not in IMAGE_TO_IMAGE:
        pytest.skip("diffusers varies no picture with a denoiser of 9 channels")
    cls, module = IMAGE_TO_IMAGE[bench.family]
    noise = torch.from_numpy(NoiseStream(SEED).initial((bench.served.spec.latent_channels, SIDE // 8, SIDE // 8)))[None]
    with mock.patch(f"diffusers.pipelines.{module}_img2img.randn_tensor", return_value=noise):
        expected = bench.theirs(cls, image=Image.fromarray(smooth(1)), strength=strength)
    assert largest(await bench.ours("vary", picture=encoded(smooth(1)), strength=strength), expected) <= 1


@pytest.mark.full
@pytest.mark.parametrize("solver", ["ddim", "dpmpp_2m"])
async def test_a_masked_picture_by_another_solver_is_diffusers(solver: str, bench: Bench) -> None:
    import diffusers

    if solver not in bench.served.spec.schedulers:
        pytest.skip("a flow has one solver")

    def replace(pipeline: Any) -> None:
        pipeline.scheduler = getattr(diffusers, CLASS_OF[solver]).from_config(pipeline.scheduler.config)

    fields = {"picture": encoded(smooth(1)), "mask": encoded(MASK), "scheduler": SCHEDULER_VALUES[solver]}
    assert largest(await bench.ours("fill", **fields), bench.masked(replace)) <= 1


async def test_the_folders_defaults_are_those_of_its_class(bench: Bench) -> None:
    spec = bench.served.spec
    assert (spec.default_scheduler, spec.default_steps, spec.default_guidance_scale) == {
        "sd15-inpaint": ("pndm", 50, 7.5),
        "sdxl": ("euler", 50, 5.0),
        "sdxl-inpaint": ("euler", 50, 7.5),
        "sd3": ("flow_euler", 28, 7.0),
    }[bench.family]


async def test_a_picture_with_a_style_picture_is_diffusers(tmp_path: Path) -> None:
    bench, style = Bench("sdxl", tmp_path, add_style), smooth(2, 90, 70)
    expected = bench.theirs(
        PIPELINES["sdxl"][0], lambda pipeline: load_style(pipeline, 0.8), ip_adapter_image=Image.fromarray(style)
    )
    fields = {"style_images": [pb.StyleImage(image=encoded(style))], "image_scale": 0.8}
    assert largest(await bench.ours("text_to_image", **fields), expected) <= 1
    without = await bench.ours("text_to_image")
    assert largest(without, expected) > 5, "the style shows"
    assert largest(without, bench.theirs(PIPELINES["sdxl"][0])) <= 1, "without style pictures it is switched off"
