"""A tokenizer folder to the one `tokenizer.json` that the orchestrator reads, with special tokens as transformers'."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from export.errors import BadFolderError
from export.reading import read_json

LEGACY_EOS = 2
END = "<|endoftext|>"
CLIP_TOKENS = {"bos_token": "<|startoftext|>", "eos_token": END, "unk_token": END, "pad_token": END}
T5_TOKENS = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
"""What transformers' classes take where a folder names no token."""
NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
EXTRA = ("additional_special_tokens", "extra_special_tokens")


def convert(folder: Path, encoder: Mapping[str, Any], length: int, out: Path) -> None:
    """Writes `out`, padding to `length` with the pipeline's pad token and never truncating.

    SDXL's second tokenizer pads with another token than its first; the file says which, so the reader need not know. A
    prompt that is too long keeps all its tokens, so that the orchestrator can refuse it instead of cutting it.

    Args:
        folder: A diffusers tokenizer folder, with `tokenizer.json` or with `vocab.json` and `merges.txt`.
        encoder: The config of the text encoder it belongs to.
        length: Tokens that the encoder is given.
        out: The file to write.

    Raises:
        BadFolderError: if there is no tokenizer, or it does not fit the encoder.
    """
    tokenizer, tokens = read(folder), SpecialTokens.read(folder, encoder)
    tokens.add_to(tokenizer)
    pad, pad_id = tokens.pad, None if tokens.pad is None else tokenizer.token_to_id(tokens.pad)
    if pad is None or pad_id is None:
        raise BadFolderError(f"{folder.name}/ pads with {pad!r}, which is not in its vocabulary.")
    if tokenizer.get_vocab_size() > encoder["vocab_size"]:
        raise BadFolderError(
            f"{folder.name}/ knows {tokenizer.get_vocab_size()} tokens, its encoder only {encoder['vocab_size']}."
        )
    tokenizer.no_truncation()
    tokenizer.no_padding()
    ids, eos = tokenizer.encode("a photo").ids, encoder.get("eos_token_id")
    # CLIP's pooled embedding is read at the end token. Without one, another word's state would be read silently.
    pooled = "projection_dim" in encoder and eos is not None and eos != LEGACY_EOS
    if pooled and (not ids or ids[-1] != eos):
        raise BadFolderError(f"{folder.name}/ does not end a prompt with the encoder's end token ({eos}).")
    tokenizer.enable_padding(length=length, pad_id=pad_id, pad_token=pad)
    out.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(out))


def read(folder: Path) -> Tokenizer:
    """Reads `tokenizer.json`, or builds it from the older pair of files."""
    if (folder / "tokenizer.json").is_file():
        try:
            return Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:
            raise BadFolderError(f"{folder.name}/tokenizer.json cannot be read: {error}") from error
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        # Imported here: it takes seconds, and most folders have tokenizer.json.
        from transformers import CLIPTokenizer

        built: Tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True).backend_tokenizer
        return built
    raise BadFolderError(f"{folder.name}/ has neither tokenizer.json nor vocab.json and merges.txt.")


@dataclass(frozen=True)
class SpecialTokens:
    """The tokens that a folder adds to its vocabulary, by the rules of transformers 5 (`_from_pretrained`)."""

    pad: str | None
    """None where the folder says that there is none."""
    special: tuple[str, ...]
    """Those with a meaning of their own; a prompt that spells one out gets the token, not its letters'."""
    added: Mapping[int, AddedToken]
    """By their numbers."""

    @classmethod
    def read(cls, folder: Path, encoder: Mapping[str, Any]) -> SpecialTokens:
        """Reads a tokenizer folder.

        `added_tokens_decoder` in `tokenizer_config.json` marks today's format, which has everything in that file. In an
        older folder `special_tokens_map.json` goes before it, and `added_tokens.json` has the numbers.

        Args:
            folder: The tokenizer's.
            encoder: The config of the text encoder; its class decides what stands for tokens that nobody names.
        """
        settings = read_json(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").is_file() else {}
        kind = str(settings.get("tokenizer_class") or (encoder.get("architectures") or ["CLIP"])[0])
        named: dict[str, Any] = (T5_TOKENS if kind.startswith("T5") else CLIP_TOKENS) | settings
        added: dict[int, AddedToken] = {}
        if "added_tokens_decoder" in settings:
            added = {int(number): _token(value) for number, value in settings["added_tokens_decoder"].items()}
        else:
            if (folder / "special_tokens_map.json").is_file():
                named |= read_json(folder / "special_tokens_map.json")
            numbers = read_json(folder / "added_tokens.json") if (folder / "added_tokens.json").is_file() else {}
            added = {int(number): AddedToken(text, normalized=True) for text, number in numbers.items()}
        extra = [token for key in EXTRA for token in (named.get(key) or ())]
        special = [_content(token) for token in (*(named.get(key) for key in NAMED), *extra) if token is not None]
        return cls(_content(named["pad_token"]), tuple(dict.fromkeys(filter(None, special))), added)

    def add_to(self, tokenizer: Tokenizer) -> None:
        """Adds the tokens that a tokenizer does not treat as such yet.

        A special token that is in no vocabulary is left out: transformers would give it a number beyond the encoder's.
        """
        there = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
        for _, token in sorted(self.added.items()):
            if token.content not in there:
                add = tokenizer.add_special_tokens if token.content in self.special else tokenizer.add_tokens
                add([token])
                there.add(token.content)
        vocabulary = tokenizer.get_vocab(with_added_tokens=True)
        tokenizer.add_special_tokens([text for text in self.special if text not in there and text in vocabulary])


def _content(token: Any) -> str | None:
    """A token's text, whether it is written as text or with its settings."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else None


def _token(value: Mapping[str, Any]) -> AddedToken:
    """A token as `tokenizer_config.json` describes it."""
    flags = {
        key: bool(value[key]) for key in ("single_word", "lstrip", "rstrip", "normalized", "special") if key in value
    }
    return AddedToken(str(value["content"]), **flags)
