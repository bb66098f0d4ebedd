"""Models: calls by role, with and without the batch dimension, and what the metadata says."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.stages.models import batch_of
from tests.orchestrator.small import TOKENS, FunctionModels, request
from tests.orchestrator.stages.running import models_of


async def test_a_role_is_played_by_the_pipelines_model() -> None:
    functions = FunctionModels()
    models = models_of(request(pipeline="small-flow"), functions)
    ids = np.zeros((2, 20), np.int64)
    assert (await models.run("text_encoder_t5", input_ids=ids))["hidden_states"].shape == (2, 20, 8)
    assert functions.calls == [("text_encoder_t5", 2)]
    assert models.fingerprint("denoiser") == "sha256:denoiser_flow"


async def test_one_row_goes_and_comes_without_the_batch_dimension() -> None:
    models = models_of(request(), FunctionModels())
    outputs = await models.one("text_encoder_g", input_ids=np.zeros(12, np.int64))
    assert (outputs["hidden_states"].shape, outputs["text_embeds"].shape) == ((12, 6), (6,))


def test_metadata_says_what_a_model_takes() -> None:
    models = models_of(request(pipeline="small-style"), FunctionModels())
    assert models.takes("denoiser", "image_tokens")
    assert not models_of(request(), FunctionModels()).takes("denoiser", "image_tokens")
    assert models.shape("denoiser", "image_tokens") == TOKENS
    with pytest.raises(KeyError):
        models.shape("denoiser", "controlnet")


def test_batches_are_contiguous_float32() -> None:
    batch = batch_of(np.ones((2, 3), np.float32).T, np.zeros((3, 2), np.float32))
    assert batch.shape == (2, 3, 2)
    assert batch.dtype == np.float32
    assert batch.flags.c_contiguous
