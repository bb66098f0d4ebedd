"""Prepare: pictures to frame, view and known latents; models run only where something reads what they make."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from backdrop.contract.canvas import MaskSource
from backdrop.contract.geometry import Fit, Size
from orchestrator.cache.lookups import RequestLookups
from orchestrator.imaging.frame import Frame
from orchestrator.imaging.view import start_of
from orchestrator.repository.conventions import Conventions, HoleColours, LatentMask
from orchestrator.stages.prepare import Prepared, prepare
from orchestrator.tasks.erase import ERASE
from orchestrator.tasks.text_to_image import TEXT_TO_IMAGE
from tests.orchestrator.small import DictCache, FunctionModels, pipeline_spec, request
from tests.orchestrator.stages.running import models_of, source_of
from tests.pictures import ellipse_mask, noisy_photo


class Bench:
    def __init__(self) -> None:
        self.functions, self.cache = FunctionModels(), DictCache()

    async def prepared(self, **changes: Any) -> Prepared:
        return (await self.prepared_frame(**changes))[0]

    async def prepared_frame(self, **changes: Any) -> tuple[Prepared, Frame]:
        request_ = request(**changes)
        source = source_of(request_)
        models, lookups = models_of(request_, self.functions), RequestLookups(self.cache)
        prepared = await prepare(source, request_.parts.sampling, models, lookups)
        async with source.open() as frame:
            return prepared, frame


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_sent_mask_is_used_as_it_is(bench: Bench) -> None:
    _, frame = await bench.prepared_frame()
    assert np.array_equal(frame.make, 255 - ellipse_mask(64, 64))
    assert frame.kept is not None
    assert frame.kept.mask_source is MaskSource.REQUEST
    assert bench.functions.rows("segmenter") == 0


async def test_a_missing_mask_is_the_segmenters(bench: Bench) -> None:
    _, frame = await bench.prepared_frame(mask=None, mask_source=MaskSource.SEGMENTER)
    assert frame.kept is not None
    assert frame.kept.mask_source is MaskSource.SEGMENTER
    assert bench.functions.rows("segmenter") == 1


async def test_known_latents_are_the_encoders_of_the_view(bench: Bench) -> None:
    prepared = await bench.prepared(size=Size(100, 90), placement=Fit())
    assert prepared.known_latents is not None
    assert prepared.known_latents.shape == (1, 4, 8, 8)
    assert np.array_equal(bench.functions.inputs["vae_encoder"]["image"][0], prepared.view.known)
    again = await bench.prepared(size=Size(100, 90), placement=Fit())
    assert bench.functions.rows("vae_encoder") == 1, "cached by the pixels that are encoded"
    assert again.known_latents is not None
    assert np.array_equal(again.known_latents, prepared.known_latents)
    await bench.prepared(photo=noisy_photo(64, 64, seed=1))
    assert bench.functions.rows("vae_encoder") == 2


async def test_a_denoiser_that_sees_no_known_pixels_needs_no_latents(bench: Bench) -> None:
    prepared, frame = await bench.prepared_frame(task=TEXT_TO_IMAGE, pipeline="small-text")
    assert (prepared.known_latents, prepared.blend) == (None, None)
    assert frame.kept is None
    assert bench.functions.calls == []


async def test_for_a_denoiser_that_sees_no_known_pixels_the_whole_picture_is_encoded(bench: Bench) -> None:
    prepared, frame = await bench.prepared_frame(pipeline="small-text")
    assert prepared.blend is not None
    assert (prepared.known_latents, prepared.start_latents) == (None, None)
    assert np.array_equal(bench.functions.inputs["vae_encoder"]["image"][0], start_of(frame))
    assert prepared.blend.latents.shape == (4, 8, 8)
    assert np.array_equal(prepared.blend.mask, prepared.view.latent_mask)
    assert (await bench.prepared()).blend is None, "a denoiser of 9 channels sees known pixels"


async def test_the_latent_mask_follows_the_pipelines_convention(bench: Bench) -> None:
    spec = dataclasses.replace(pipeline_spec(), conventions=Conventions(latent_mask=LatentMask.NEAREST))
    hard, soft = await bench.prepared(pipeline=spec), await bench.prepared()
    assert set(np.unique(hard.view.latent_mask)) == {0.0, 1.0}
    assert not np.array_equal(hard.view.latent_mask, soft.view.latent_mask)


async def test_where_noise_starts_from_the_picture_its_latents_are_made_too(bench: Bench) -> None:
    assert (await bench.prepared()).start_latents is None
    prepared, frame = await bench.prepared_frame(strength=0.5)
    assert prepared.start_latents is not None
    assert prepared.start_latents.shape == (4, 8, 8)
    assert np.array_equal(bench.functions.inputs["vae_encoder"]["image"][0], start_of(frame))
    assert prepared.known_latents is not None
    assert not np.array_equal(prepared.start_latents, prepared.known_latents)
    assert bench.functions.rows("vae_encoder") == 2, "the known pixels once for both requests, and the whole picture"


async def test_noise_in_a_hole_starts_from_its_surroundings_where_the_pipeline_says_so(bench: Bench) -> None:
    prepared, frame = await bench.prepared_frame(task=ERASE)
    assert prepared.start_latents is not None
    assert np.array_equal(bench.functions.inputs["vae_encoder"]["image"][0], start_of(frame))
    spec = pipeline_spec()
    decoded = dataclasses.replace(spec.conventions, hole_colours=HoleColours.DECODED)
    other, _ = await bench.prepared_frame(task=ERASE, pipeline=dataclasses.replace(spec, conventions=decoded))
    assert other.start_latents is None


async def test_a_blank_frame_is_encoded_where_the_denoiser_reads_it(bench: Bench) -> None:
    prepared = await bench.prepared(task=TEXT_TO_IMAGE)
    assert prepared.known_latents is not None
    assert not bench.functions.inputs["vae_encoder"]["image"].any()
    assert (prepared.view.mask == 1.0).all()
