"""Style pictures to image tokens: which models run, what is cached, and how several are mixed."""

import dataclasses

import numpy as np
import pytest

from orchestrator.arrays import Floats
from orchestrator.cache.lookups import RequestLookups
from orchestrator.request import Request
from orchestrator.stages.style import encode_style, mean_direction, to_model
from tests.orchestrator.small import CLIP, TOKENS, UVE, DictCache, FunctionModels, request, style
from tests.orchestrator.stages.running import models_of

WARM, COLD = (230, 150, 60), (30, 80, 200)
ENCODERS = ("image_encoder_uve", "image_encoder_clip")


class Bench:
    def __init__(self) -> None:
        self.models, self.cache = FunctionModels(), DictCache()

    async def tokens(self, request_: Request) -> Floats:
        style = request_.parts.conditioning.style
        return await encode_style(style, models_of(request_, self.models), RequestLookups(self.cache))


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_each_encoder_sees_each_picture_in_its_range(bench: Bench) -> None:
    tokens = await bench.tokens(request(pipeline="small-style", style=style(WARM, COLD)))
    assert tokens.shape == TOKENS
    assert [bench.models.rows(encoder) for encoder in ENCODERS] == [2, 2]
    image = bench.models.inputs["image_encoder_clip"]["image"]
    assert image.shape == (1, 3, 256, 256)
    assert image.dtype == np.float32
    np.testing.assert_allclose(image[0, :, 0, 0], np.array(COLD) / 127.5 - 1, atol=1e-6)


async def test_a_picture_is_embedded_once_whatever_its_weight_and_the_others(bench: Bench) -> None:
    await bench.tokens(request(pipeline="small-style", style=style(WARM)))
    await bench.tokens(request(pipeline="small-style", style=style(COLD, WARM, weights=(1.0, 5.0))))
    await bench.tokens(request(pipeline="small-style", style=style(WARM, weights=(2.0,))))
    assert [bench.models.rows(encoder) for encoder in ENCODERS] == [2, 2]
    assert len(bench.cache.data) == 4


async def test_the_projector_gets_the_weighted_mean_of_length_1(bench: Bench) -> None:
    alone = {}
    for colour in (WARM, COLD):
        await bench.tokens(request(pipeline="small-style", style=style(colour)))
        alone[colour] = bench.models.inputs["image_projector"]
    await bench.tokens(request(pipeline="small-style", style=style(WARM, COLD, weights=(3.0, 1.0))))
    mixed = bench.models.inputs["image_projector"]
    for name, width in (("uve", UVE), ("clip", CLIP)):
        mean = 0.75 * alone[WARM][name] + 0.25 * alone[COLD][name]
        assert mixed[name].shape == (1, width)
        assert mixed[name].dtype == np.float32
        np.testing.assert_allclose(mixed[name], mean / np.linalg.norm(mean), atol=1e-6)


def test_only_the_ratios_of_weights_count() -> None:
    embeddings = [np.eye(4, dtype=np.float32)[i] for i in range(3)]
    assert np.array_equal(mean_direction(embeddings, (1, 2, 4)), mean_direction(embeddings, (2, 4, 8)))
    np.testing.assert_array_equal(mean_direction(embeddings[:1], (0.001,)), embeddings[0])


def test_pictures_that_cancel_out_give_numbers_all_the_same() -> None:
    opposite = [np.array([1, 0], np.float32), np.array([-1, 0], np.float32)]
    assert np.array_equal(mean_direction(opposite, (1, 1)), [0, 0])


def test_a_mean_keeps_the_mean_norm() -> None:
    embeddings = [np.array([3.0, 0.0], np.float32), np.array([0.0, 1.0], np.float32)]
    mixed = mean_direction(embeddings, (1, 1))
    np.testing.assert_allclose(np.linalg.norm(mixed), 2.0, rtol=1e-6)
    np.testing.assert_allclose(mixed / np.linalg.norm(mixed), np.array([3, 1]) / np.sqrt(10), rtol=1e-6)


async def test_a_pipeline_without_uve_asks_clip_alone(bench: Bench) -> None:
    request_ = request(pipeline="small-style", style=style(WARM))
    models = {role: model for role, model in request_.pipeline.models.items() if role != "image_encoder_uve"}
    request_ = dataclasses.replace(request_, pipeline=dataclasses.replace(request_.pipeline, models=models))
    assert (await bench.tokens(request_)).shape == (TOKENS[0], CLIP)
    assert bench.models.rows("image_encoder_uve") == 0
    assert bench.models.rows("image_encoder_clip") == 1


def test_models_see_minus_one_to_one() -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[0, 1] = (255, 0, 127)
    image = to_model(pixels)
    assert image.shape == (3, 4, 4)
    assert image.dtype == np.float32
    np.testing.assert_allclose(image[:, 0, 1], [1, -1, -0.0039216], atol=1e-6)
