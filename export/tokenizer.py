"""A tokenizer folder to the one `tokenizer.json` that the orchestrator reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from export.errors import BadFolderError
from export.reading import read_json

LEGACY_EOS = 2


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
    tokenizer = read(folder)
    pad = pad_token(folder)
    pad_id = tokenizer.token_to_id(pad)
    if pad_id is None:
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


def pad_token(folder: Path) -> str:
    """The pad token that the folder's settings name."""
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if (folder / name).is_file():
            token = read_json(folder / name).get("pad_token")
            if isinstance(token, dict):
                token = token.get("content")
            if isinstance(token, str):
                return token
    return "<|endoftext|>"
