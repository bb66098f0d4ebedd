"""Prompts to embeddings: two CLIP encoders side by side, or T5's states beside the larger CLIP's summary."""

from pathlib import Path

import numpy as np
import pytest

from orchestrator.cache.lookups import RequestLookups
from orchestrator.stages.models import Models, TextEmbeddings
from orchestrator.stages.text import encode_texts
from tests.orchestrator.small import DictCache, FunctionModels, job, tokenizers


class Bench:
    def __init__(self, folder: Path) -> None:
        self.models, self.cache, self.tokenizers = FunctionModels(), DictCache(), tokenizers(folder)[1]

    async def embed(self, prompt: str, pipeline: str) -> TextEmbeddings:
        asked = job(pipeline=pipeline)
        models = Models(asked.pipeline, self.models, "id")
        (found,) = await encode_texts([prompt], asked, models, self.tokenizers, RequestLookups(self.cache))
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_both_clip_encoders_stand_side_by_side_the_smaller_first(bench: Bench) -> None:
    embedded = await bench.embed("a beach", "small")
    assert embedded.hidden_states.shape == (12, 4 + 6)
    assert embedded.pooled.shape == (6,)
    assert sorted(name for name, _ in bench.models.calls) == ["text_encoder_g", "text_encoder_l"]


async def test_where_there_is_t5_its_states_lead_and_the_summary_stays_clips(bench: Bench) -> None:
    embedded = await bench.embed("a beach", "small-flow")
    assert embedded.hidden_states.shape == (20, 8)
    assert embedded.pooled.shape == (6,)
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
    assert np.array_equal(first.pooled, second.pooled)
