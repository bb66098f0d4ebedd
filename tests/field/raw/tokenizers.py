"""Tokenizer folders that are broken: the two ages of files, their special tokens, and the encoder's config."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from export.errors import ExportError
from export.keys.check import complete
from export.tokenizer import convert
from tests.export.tiny import VOCABULARY, write_tokenizer
from tests.field.raw.cases import Case, damaged, spoilt_files, values

START, END = "<|startoftext|>", "<|endoftext|>"
ENCODER = {"architectures": ["CLIPTextModel"], "vocab_size": VOCABULARY, "eos_token_id": VOCABULARY - 1}
OLD_ENCODER = {"architectures": ["CLIPTextModel"], "vocab_size": 40, "eos_token_id": 7}
VOCAB = {text: number for number, text in enumerate(["a", "p", "h", "a</w>", "p</w>", "!</w>", START, END])}
LENGTH = 16


def cases(folder: Path) -> Iterator[Case]:
    """Every case; files are written below `folder` while the cases are taken one by one."""
    folder.mkdir(parents=True, exist_ok=True)
    new, old = folder / "new", folder / "old"
    write_tokenizer(new)
    yield from _spoilt(new, ENCODER, deep=3)
    yield from _bytes(new, ENCODER)
    for key, config in values(ENCODER, 1):
        yield Case(f"encoder: {key}", partial(_convert_for, new, config), (ExportError,))
    _write_old(old)
    yield from _spoilt(old, OLD_ENCODER, deep=2)
    for gone in ("vocab.json", "merges.txt"):
        shutil.move(old / gone, folder / gone)
        yield _case(f"old: no {gone}", old, OLD_ENCODER)
        shutil.move(folder / gone, old / gone)
    for text in (b"", b"#version: 0.2\n", b"a\n", b"a b c\n", b"zz yy\n", b"\xff\xfe", bytes(64)):
        (old / "merges.txt").write_bytes(text)
        yield _case(f"old: merges {text!r}", old, OLD_ENCODER)


def _write_old(folder: Path) -> None:
    folder.mkdir()
    (folder / "merges.txt").write_text("#version: 0.2\n")
    contents: Mapping[str, Any] = {
        "vocab": VOCAB,
        "added_tokens": {"<pad>": len(VOCAB)},
        "special_tokens_map": {
            "bos_token": START,
            "eos_token": {"content": END, "lstrip": False},
            "pad_token": "<pad>",
        },
        "tokenizer_config": {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "unk_token": END},
    }
    for name, content in contents.items():
        (folder / f"{name}.json").write_text(json.dumps(content))


def _spoilt(folder: Path, encoder: Mapping[str, Any], deep: int) -> Iterator[Case]:
    for path in sorted(folder.glob("*.json")):
        for name in spoilt_files(path, deep if path.name != "tokenizer.json" else 2):
            yield _case(f"{folder.name}: {name}", folder, encoder)


def _bytes(folder: Path, encoder: Mapping[str, Any]) -> Iterator[Case]:
    path = folder / "tokenizer.json"
    content = path.read_bytes()
    for number, data in enumerate(damaged(content, 20)):
        path.write_bytes(data)
        yield _case(f"tokenizer.json: bytes {number}", folder, encoder)
    path.write_bytes(content)


def _case(name: str, folder: Path, encoder: Mapping[str, Any]) -> Case:
    return Case(name, partial(_convert, folder, encoder), (ExportError,))


def _convert_for(folder: Path, config: Mapping[str, Any]) -> None:
    _convert(folder, complete(config, "text_encoder/config.json"))


def _convert(folder: Path, encoder: Mapping[str, Any]) -> None:
    convert(folder, encoder, LENGTH, folder.parent / "written.json")
