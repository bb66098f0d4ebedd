"""Prompts to token ids, with the tokenizer.json that lies in each text encoder's folder."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from orchestrator.repository import TOKENIZER, PipelineSpec, Repository, RepositoryError

# A prompt is tokenized when it is parsed and again when it is encoded; campaigns repeat their prompts for hours.
_REMEMBERED = 1024
_TRIAL = "a beach 1 Ω \U0001f3d6"
"""Some characters that no vocabulary has."""


class PromptTokenizer:
    """Tokenizes for one model of the repository; `max_tokens` includes the start and end tokens."""

    def __init__(self, path: Path, max_tokens: int) -> None:
        """Raises RepositoryError when `path` is not a tokenizer.json that pads to a fixed length."""
        with _faults(f"{path} is not a tokenizer"):
            self._tokenizer = Tokenizer.from_file(str(path))
        padding = self._tokenizer.padding
        if padding is None:
            raise RepositoryError(f"{path} does not say how to pad; export the pipeline again")
        self._pad_id = int(padding["pad_id"])
        self._max_tokens = max_tokens
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        with _faults(f"{path} cannot tokenize words that it does not know"):
            self._tokenizer.encode(_TRIAL)
        self._encoded = functools.lru_cache(_REMEMBERED)(self._encode)

    def count(self, text: str) -> int:
        """Tokens of `text`, start and end tokens included."""
        return len(self._encoded(text))

    def ids(self, text: str) -> npt.NDArray[np.int64]:
        """[max_tokens] token ids, padded. Of a longer text: its beginning, then the end token."""
        ids = self._encoded(text)
        if len(ids) > self._max_tokens:
            ids = (*ids[: self._max_tokens - 1], ids[-1])
        return np.array([*ids, *[self._pad_id] * (self._max_tokens - len(ids))], np.int64)

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer.encode(text).ids)


@contextlib.contextmanager
def _faults(what: str) -> Iterator[None]:
    """Turns what the library raises into RepositoryError: bare Exception, and panics, which are none."""
    try:
        yield
    except BaseException as problem:
        if not isinstance(problem, Exception) and type(problem).__name__ != "PanicException":
            raise
        raise RepositoryError(f"{what}: {problem}") from None


class PromptTokenizers:
    """The tokenizers of every pipeline's text encoders, each with its pipeline's maximum length."""

    def __init__(self, repository: Repository) -> None:
        self._by_model: dict[tuple[str, int], PromptTokenizer] = {}
        for pipeline in repository.pipelines.values():
            for role, max_tokens in pipeline.max_tokens.items():
                if role not in pipeline.models:
                    continue
                name = pipeline.models[role].name
                path = repository.path / name / TOKENIZER
                if (name, max_tokens) not in self._by_model:
                    self._by_model[name, max_tokens] = PromptTokenizer(path, max_tokens)

    def of(self, pipeline: PipelineSpec, role: str) -> PromptTokenizer:
        """The tokenizer of the model that plays `role`."""
        return self._by_model[pipeline.models[role].name, pipeline.max_tokens[role]]

    def count(self, pipeline: PipelineSpec, text: str) -> int:
        """The largest number of tokens of `text` over the encoders whose states the denoiser reads."""
        return max(self.of(pipeline, role).count(text) for role in pipeline.states_roles)
