"""The tokenizer: CLIP's layout, any text, and the same ids from every library that reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import CLIPTokenizer

from training.config import Config
from training.encoders import tokenizer

TEXTS = ("A beach at Sunset, with palm trees", "", "it's 4k!", "Ünïcode 漢字 🎉", "a\tcity\n at night")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved tokenizer, trained on few captions: the tests are about its format."""
    path = tmp_path_factory.mktemp("tokenizer")
    config = Config()
    tokenizer.save(tokenizer.build(config, tokenizer.corpus(config, 200)), path)
    return path


def test_ids_are_laid_out_as_in_clip(folder: Path) -> None:
    loaded, size = CLIPTokenizer.from_pretrained(folder), Config().text.vocab_size
    assert len(loaded) == size
    assert (loaded.bos_token_id, loaded.eos_token_id, loaded.pad_token_id) == (size - 2, size - 1, size - 1)
    ids = loaded("", padding="max_length", max_length=77).input_ids
    assert ids == [size - 2] + [size - 1] * 76


@pytest.mark.parametrize("text", TEXTS)
def test_every_library_reads_the_same_ids(folder: Path, text: str) -> None:
    ids = CLIPTokenizer.from_pretrained(folder)(text).input_ids
    assert Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids == ids
    assert CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))(text).input_ids == ids


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_survives_the_round_trip(folder: Path, text: str) -> None:
    loaded = CLIPTokenizer.from_pretrained(folder)
    ids = loaded(text).input_ids
    assert ids.count(loaded.eos_token_id) == 1, "an unknown token would show as the end token"
    squeezed = "".join(text.lower().split())
    assert "".join(loaded.decode(ids, skip_special_tokens=True).split()) == squeezed
