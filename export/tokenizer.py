"""A tokenizer folder to the one `tokenizer.json` that the orchestrator reads, with special tokens as transformers'."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from export.errors import BadFolderError
from export.keys.values import is_whole
from export.layout import class_named
from export.reading import has_file, read_json

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
    tokens = SpecialTokens.read(folder, encoder)
    with told(f"{folder.name}/ cannot be read as a tokenizer"):
        tokenizer = read(folder)
        tokens.add_to(tokenizer)
    pad, pad_id = tokens.pad, None if tokens.pad is None else tokenizer.token_to_id(tokens.pad)
    if pad is None or pad_id is None:
        raise BadFolderError(f"{folder.name}/ pads with {pad!r}, which is not in its vocabulary.")
    if getattr(tokenizer.model, "dropout", None):
        raise BadFolderError(
            f"{folder.name}/ sets dropout to {tokenizer.model.dropout:g}: a prompt would have other tokens each time; "
            f"remove it."
        )
    if tokenizer.get_vocab_size() > encoder["vocab_size"]:
        raise BadFolderError(
            f"{folder.name}/ knows {tokenizer.get_vocab_size()} tokens, its encoder only {encoder['vocab_size']}."
        )
    with told(f"{folder.name}/ cannot be used as a tokenizer"):
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
    if has_file(folder / "tokenizer.json"):
        with told(f"{folder.name}/tokenizer.json cannot be read"):
            return Tokenizer.from_file(str(folder / "tokenizer.json"))
    if has_file(folder / "vocab.json") and has_file(folder / "merges.txt"):
        expect_vocabulary(folder / "vocab.json")
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
        settings = _optional(folder / "tokenizer_config.json")
        kind = str(settings.get("tokenizer_class") or class_named(encoder))
        where = f"{folder.name}/tokenizer_config.json"
        named: dict[str, Any] = (T5_TOKENS if kind.startswith("T5") else CLIP_TOKENS) | settings
        added: dict[int, AddedToken] = {}
        if "added_tokens_decoder" in settings:
            decoder = settings["added_tokens_decoder"]
            for number, value in _entries(decoder, f"{where}: added_tokens_decoder"):
                added[_number(number, where)] = _token(value, f"{where}: added_tokens_decoder.{number}")
        else:
            named |= _optional(folder / "special_tokens_map.json")
            numbers = _optional(folder / "added_tokens.json")
            added = {
                _number(number, f"{folder.name}/added_tokens.json: {text}"): AddedToken(text, normalized=True)
                for text, number in numbers.items()
            }
        special = [_content(named.get(key), f"{folder.name}/: {key}") for key in NAMED]
        for key in EXTRA:
            special += [_content(token, f"{folder.name}/: {key}") for token in _listed(named.get(key), folder, key)]
        pad = _content(named["pad_token"], f"{folder.name}/: pad_token")
        return cls(pad, tuple(dict.fromkeys(filter(None, special))), added)

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


def expect_vocabulary(path: Path) -> None:
    """Refuses a vocabulary with entries that the library would leave out, or of which it would keep one alone."""
    numbers: dict[Any, str] = {}
    for text, number in read_json(path).items():
        if not is_whole(number, least=0):
            raise BadFolderError(f"{path.parent.name}/{path.name}: {text} has the number {str(number)[:60]}.")
        if number in numbers:
            raise BadFolderError(f"{path.parent.name}/{path.name}: {text} and {numbers[number]} are both {number}.")
        numbers[number] = text


def _optional(path: Path) -> dict[str, Any]:
    return read_json(path) if has_file(path) else {}


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turns the errors of the tokenizers' libraries, which are of every class, into one of ours."""
    try:
        yield
    except BadFolderError:
        raise
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BadFolderError(f"{what}: {reason}.") from error


def _content(token: Any, where: str) -> str | None:
    """A token's text, whether it is written as text or with its settings."""
    text = token.get("content") if isinstance(token, dict) else token
    if isinstance(text, str) or token is None:
        return text
    raise BadFolderError(f"{where} is {json.dumps(token)[:60]}; a token is text, or an object with its content.")


def _token(value: Any, where: str) -> AddedToken:
    """A token as `tokenizer_config.json` describes it."""
    text = _content(value, where)
    if not isinstance(value, dict) or text is None:
        raise BadFolderError(f"{where} is {json.dumps(value)[:60]}; it must be an object with the token's content.")
    flags = {
        key: bool(value[key]) for key in ("single_word", "lstrip", "rstrip", "normalized", "special") if key in value
    }
    return AddedToken(text, **flags)


def _number(value: Any, where: str) -> int:
    """A token's number, which the keys of an object have as text."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 10:
        value = int(value)
    if not is_whole(value, least=0):
        raise BadFolderError(f"{where}: {str(value)[:60]} is not the number of a token.")
    return int(value)


def _entries(value: Any, where: str) -> Iterable[tuple[str, Any]]:
    """The entries of an object."""
    if not isinstance(value, dict):
        raise BadFolderError(f"{where} is {json.dumps(value)[:60]}, not an object of tokens by their numbers.")
    return value.items()


def _listed(value: Any, folder: Path, key: str) -> Iterable[Any]:
    """Further special tokens: a list of them, or an object of them by what they are for."""
    if isinstance(value, dict):
        return value.values()
    if value is None or isinstance(value, list):
        return value or ()
    raise BadFolderError(f"{folder.name}/: {key} is {json.dumps(value)[:60]}, not a list of tokens.")
