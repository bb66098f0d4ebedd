"""Prompts to embeddings: two CLIP encoders side by side, or T5's states beside the larger CLIP's summary."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from orchestrator.arrays import Floats
from orchestrator.cache.lookups import RequestLookups
from orchestrator.repository import T5, PipelineSpec
from orchestrator.stages.embeddings import TextEmbeddings
from orchestrator.stages.text import encode_texts, joined_states
from tests.orchestrator.small import DictCache, FunctionModels, pipeline_spec, request, tokenizers
from tests.orchestrator.stages.running import models_of

SMALL, LARGE = np.full((3, 2), 1, np.float32), np.full((3, 4), 2, np.float32)
LONG = np.full((5, 8), 3, np.float32)


class Bench:
    def __init__(self, folder: Path) -> None:
        self.models, self.cache, self.tokenizers = FunctionModels(), DictCache(), tokenizers(folder)[1]

    async def embed(self, prompt: str, pipeline: PipelineSpec | str) -> TextEmbeddings:
        models = models_of(request(pipeline=pipeline), self.models)
        (embeddings,) = await encode_texts([prompt], models, self.tokenizers, RequestLookups(self.cache))
        return embeddings


def pooled_of(embedded: TextEmbeddings) -> Floats:
    """The pooled embedding of a pipeline that reads one."""
    assert embedded.pooled is not None
    return embedded.pooled


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_both_clip_encoders_stand_side_by_side_the_smaller_first(bench: Bench) -> None:
    embedded = await bench.embed("a beach", "small")
    assert embedded.hidden_states.shape == (12, 4 + 6)
    assert pooled_of(embedded).shape == (6,)
    assert sorted(name for name, _ in bench.models.calls) == ["text_encoder_g", "text_encoder_l"]


async def test_where_there_is_t5_its_states_lead_and_the_summary_stays_clips(bench: Bench) -> None:
    embedded = await bench.embed("a beach", "small-flow")
    assert embedded.hidden_states.shape == (20, 8)
    assert pooled_of(embedded).shape == (6,)
    assert sorted(name for name, _ in bench.models.calls) == ["text_encoder_g", "text_encoder_t5"]
    assert bench.models.inputs["text_encoder_t5"]["input_ids"][0].tolist() == [0, 2, 3, 1] + [1] * 16


async def test_beyond_its_own_length_clip_reads_the_beginning(bench: Bench) -> None:
    await bench.embed("a beach " * 8, "small-flow")  # 18 tokens: T5 has room for 20, CLIP for 12
    assert bench.models.inputs["text_encoder_t5"]["input_ids"][0].tolist() == [0, *[2, 3] * 8, 1, 1, 1]
    assert bench.models.inputs["text_encoder_g"]["input_ids"][0].tolist() == [0, *[2, 3] * 5, 1]


async def test_pipelines_share_what_is_cached_of_a_shared_encoder(bench: Bench) -> None:
    first = await bench.embed("a beach", "small")
    second = await bench.embed("a beach", "small-flow")
    assert bench.models.rows("text_encoder_g") == 1
    assert np.array_equal(pooled_of(first), pooled_of(second))


class BothPooled(FunctionModels):
    """The smaller CLIP encoder has a projection too, as Stable Diffusion 3's has."""

    def _text_encoder_l(self, input_ids: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        return super()._text_encoder_l(input_ids) | {"text_embeds": np.full((len(input_ids), 2), 7, np.float32)}


async def test_pooled_embeddings_are_joined_in_the_pipelines_order(bench: Bench) -> None:
    bench.models = BothPooled()
    both = dataclasses.replace(pipeline_spec("small"), pooled_roles=("text_encoder_l", "text_encoder_g"))
    embedded = await bench.embed("a beach", both)
    assert pooled_of(embedded).shape == (2 + 6,)
    assert pooled_of(embedded)[:2].tolist() == [7, 7]


async def test_where_nobody_reads_a_pooled_embedding_there_is_none(bench: Bench) -> None:
    assert (await bench.embed("a beach", "small-bare")).pooled is None
    assert [name for name, _ in bench.models.calls] == ["text_encoder_l"]


def test_clip_encoders_are_joined_along_their_features() -> None:
    joined = joined_states({"text_encoder_l": SMALL, "text_encoder_g": LARGE})
    assert joined.tolist() == [[1, 1, 2, 2, 2, 2]] * 3


def test_t5_alone_stays_as_it_is() -> None:
    assert joined_states({T5: LONG}).tolist() == LONG.tolist()


def test_clip_is_padded_to_t5s_width_and_comes_first() -> None:
    joined = joined_states({"text_encoder_l": SMALL, "text_encoder_g": LARGE, T5: LONG})
    assert joined.shape == (8, 8)
    assert joined[:3].tolist() == [[1, 1, 2, 2, 2, 2, 0, 0]] * 3
    assert joined[3:].tolist() == LONG.tolist()
