"""Token ids: padded to the length, counted with their start and end."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models

from orchestrator.repository import RepositoryError
from orchestrator.repository.tokenize import PromptTokenizer
from tests.orchestrator.small import tokenizers


def test_ids_are_padded_and_counted(tmp_path: Path) -> None:
    repository, prompts = tokenizers(tmp_path)
    pipeline = repository.pipelines["small"]
    assert prompts.count(pipeline, "a beach") == 4
    assert prompts.of(pipeline, "text_encoder_l").ids("a beach").tolist() == [0, 2, 3, 1] + [1] * 8
    assert prompts.of(pipeline, "text_encoder_l").ids("").tolist() == [0, 1] + [1] * 10


def test_each_pipeline_reads_to_its_own_length(tmp_path: Path) -> None:
    repository, prompts = tokenizers(tmp_path)
    plain, flow = repository.pipelines["small"], repository.pipelines["small-flow"]
    assert (plain.max_prompt_tokens, flow.max_prompt_tokens) == (12, 20)
    assert prompts.of(flow, "text_encoder_t5").ids("a beach").tolist() == [0, 2, 3, 1] + [1] * 16
    assert prompts.of(flow, "text_encoder_g").ids("a " * 14).tolist() == [0] + [2] * 10 + [1]


def test_what_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="not a tokenizer"):
        PromptTokenizer(tmp_path / "missing.json", 77)


def test_a_tokenizer_that_fails_on_unknown_words_is_refused_at_the_start(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel({"a": 0}, unk_token="?"))
    tokenizer.enable_padding(length=4, pad_id=0, pad_token="a")
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(RepositoryError, match="words that it does not know"):
        PromptTokenizer(tmp_path / "tokenizer.json", 4)
