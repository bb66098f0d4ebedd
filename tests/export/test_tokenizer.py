"""Tokenizer folders of every age: the exported tokenizer gives the tokens that transformers' own class gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from transformers import CLIPTokenizer

from export.errors import BadFolderError
from export.tokenizer import convert

START, END = "<|startoftext|>", "<|endoftext|>"
LETTERS = "!aphotsbec"
VOCABULARY = {text: number for number, text in enumerate([*LETTERS, *(f"{each}</w>" for each in LETTERS), START, END])}
ENCODER = {"vocab_size": 40, "architectures": ["CLIPTextModel"]}
LENGTH = 12
PROMPTS = ("a photo", "a beach !", "", "photo <pad> tap", "tape")


def folder_of(root: Path, files: dict[str, Any]) -> Path:
    """A tokenizer folder of the older kind: a vocabulary, merges, and what `files` adds."""
    folder = root / "tokenizer"
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps(VOCABULARY))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def token(text: str) -> dict[str, Any]:
    """A token as older folders write it, with its settings."""
    return {"content": text, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}


CONFIG = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "bos_token": START, "eos_token": END}
FOLDERS: dict[str, dict[str, Any]] = {
    "nothing named": {},
    "the config's": {"tokenizer_config": {**CONFIG, "pad_token": "!"}},
    "the config's, with settings": {"tokenizer_config": {**CONFIG, "pad_token": token("!") | {"__type": "AddedToken"}}},
    "the map's": {"tokenizer_config": CONFIG, "special_tokens_map": {"bos_token": START, "pad_token": "!"}},
    "the map's, with settings": {"tokenizer_config": CONFIG, "special_tokens_map": {"pad_token": token("!")}},
    "the map's before the config's": {
        "tokenizer_config": {**CONFIG, "pad_token": END},
        "special_tokens_map": {"pad_token": "!"},
    },
    "an added token": {
        "tokenizer_config": CONFIG,
        "special_tokens_map": {"pad_token": "<pad>"},
        "added_tokens": {"<pad>": len(VOCABULARY)},
    },
    "today's format, whose map is not read": {
        "tokenizer_config": {
            **CONFIG,
            "pad_token": "!",
            "added_tokens_decoder": {
                "0": {**token("!"), "special": True},
                str(VOCABULARY[START]): {**token(START), "special": True},
                str(VOCABULARY[END]): {**token(END), "special": True},
            },
        },
        "special_tokens_map": {"pad_token": END},
    },
}


# diffusers issues 2201 and 4153: the pad token stands in special_tokens_map.json.
@pytest.mark.row("pad-token")
@pytest.mark.parametrize("files", FOLDERS.values(), ids=FOLDERS)
def test_prompts_become_the_tokens_of_transformers(files: dict[str, Any], tmp_path: Path) -> None:
    folder = folder_of(tmp_path, files)
    theirs = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    convert(folder, ENCODER, LENGTH, tmp_path / "out.json")
    ours = Tokenizer.from_file(str(tmp_path / "out.json"))
    for prompt in PROMPTS:
        expected = theirs(prompt, padding="max_length", max_length=LENGTH).input_ids
        assert ours.encode(prompt).ids == expected, prompt


@pytest.mark.row("pad-token")
def test_a_pad_token_beyond_the_encoder_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"special_tokens_map": {"pad_token": "<pad>"}})
    count = len(VOCABULARY)
    with pytest.raises(BadFolderError, match=f"knows {count + 1} tokens, its encoder only {count}"):
        convert(folder, {**ENCODER, "vocab_size": count}, LENGTH, tmp_path / "out.json")
