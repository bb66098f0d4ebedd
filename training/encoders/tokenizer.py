"""The tokenizer: a small byte-level BPE in CLIP's format, which can encode any text."""

from __future__ import annotations

import copy
import json
import logging
from pathlib import Path

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from training.config import Config
from training.core import loop
from training.data.words import WORDS
from training.world.captions import background_prompt, full_caption
from training.world.labels import draw_spec

BOS, EOS = "<|startoftext|>", "<|endoftext|>"
# CLIP's splitting: contractions first, digits one by one.
PATTERN = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"

log = logging.getLogger(__name__)


def byte_alphabet() -> list[str]:
    """The 256 printable stand-ins for bytes, in GPT-2's order (Radford et al. 2019)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    shifted = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + n) for n in range(len(shifted))]


def corpus(config: Config, count: int = 6000) -> list[str]:
    """Captions of training seeds, and the word list 30 times, so that common words become one token."""
    lines = []
    for seed in range(count):
        rng = np.random.default_rng((config.seed, seed))
        spec = draw_spec(seed)
        lines += [background_prompt(spec, rng), full_caption(spec, rng)]
    return lines + list(WORDS) * 30


def learn_merges(config: Config, lines: list[str]) -> list[tuple[str, str]]:
    """Learns as many merges as fit the vocabulary."""
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>", fuse_unk=False))
    bpe.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(PATTERN), behavior="removed", invert=True), pre_tokenizers.ByteLevel(False, False)]
    )
    room = config.text.vocab_size - 2 * 256 - 2
    trainer = trainers.BpeTrainer(
        # The trainer counts only letters that occur in the corpus. It learns more merges than fit; the rest are cut.
        vocab_size=config.text.vocab_size + 512,
        initial_alphabet=byte_alphabet(),
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    bpe.train_from_iterator(lines, trainer)
    merges = json.loads(bpe.to_str())["model"]["merges"]
    split = (merge.split(" ") if isinstance(merge, str) else merge for merge in merges)
    pairs = [(str(left), str(right)) for left, right in split]
    if len(pairs) < room:
        log.warning("the corpus gave only %d merges of %d", len(pairs), room)
    return pairs[:room]


def build(config: Config, lines: list[str] | None = None) -> CLIPTokenizer:
    """Trains the tokenizer. Ids follow CLIP: bytes, bytes at a word's end, merges, the two special tokens."""
    merges = learn_merges(config, corpus(config) if lines is None else lines)
    alphabet = byte_alphabet()
    names = [*alphabet, *(letter + "</w>" for letter in alphabet), *("".join(pair) for pair in merges)]
    # Two merges can give the same token. The first stays, and unused tokens fill the gap, so that EOS stays last.
    names = list(dict.fromkeys(names))
    names += [f"<|unused{n}|>" for n in range(config.text.vocab_size - 2 - len(names))]
    vocab = {name: index for index, name in enumerate([*names, BOS, EOS])}
    return CLIPTokenizer(
        vocab=vocab,
        merges=[tuple(pair) for pair in merges],
        model_max_length=config.text.max_length,
    )


def save(tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Writes `tokenizer.json` (for `tokenizers`), and `vocab.json` with `merges.txt` (CLIP's files)."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False))
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")


def load(config: Config) -> CLIPTokenizer:
    """The trained tokenizer; trains it first if it is missing, which takes seconds."""
    folder = config.paths.work / "tokenizer"
    if not (folder / "tokenizer.json").exists():
        save(build(config), folder)
    return CLIPTokenizer.from_pretrained(folder)


def token_ids(tok: CLIPTokenizer, texts: list[str], length: int) -> torch.Tensor:
    """Token ids [B, length], padded with the end token."""
    return torch.tensor(tok(texts, padding="max_length", truncation=True, max_length=length).input_ids)


def with_length(tokenizer: CLIPTokenizer, length: int) -> CLIPTokenizer:
    """The same tokenizer for an encoder of another context length."""
    longer = copy.deepcopy(tokenizer)
    longer.model_max_length = length
    return longer


def train(config: Config) -> None:
    """Trains and writes the tokenizer."""
    save(build(config), config.paths.work / "tokenizer")
    log.info("tokenizer of %d tokens in %s", config.text.vocab_size, config.paths.work / "tokenizer")


if __name__ == "__main__":
    loop.run_stage(__doc__, train)
