"""Prompts to token ids, with the tokenizer.json that lies in each text encoder's folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from orchestrator.repository import PipelineSpec, Repository, RepositoryError

TEXT_ROLES = ("text_encoder_l", "text_encoder_g")


class PromptTokenizer:
    """Tokenizes for one model of the repository; `max_tokens` includes the start and end tokens."""

    def __init__(self, path: Path, max_tokens: int) -> None:
        """Raises RepositoryError when `path` is not a tokenizer.json that pads to a fixed length."""
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as problem:  # the library raises bare Exception
            raise RepositoryError(f"{path} is not a tokenizer: {problem}") from None
        padding = self._tokenizer.padding
        if padding is None:
            raise RepositoryError(f"{path} does not say how to pad; export the pipeline again")
        self._pad_id = int(padding["pad_id"])
        self._max_tokens = max_tokens
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def count(self, text: str) -> int:
        """Tokens of `text`, start and end tokens included."""
        return len(self._tokenizer.encode(text).ids)

    def ids(self, text: str) -> npt.NDArray[np.int64]:
        """[max_tokens] token ids, padded; `text` must fit, as `count` says."""
        ids = self._tokenizer.encode(text).ids
        return np.array(ids + [self._pad_id] * (self._max_tokens - len(ids)), np.int64)


class PromptTokenizers:
    """The tokenizers of every pipeline's text encoders."""

    def __init__(self, repository: Repository) -> None:
        self._by_model: dict[str, PromptTokenizer] = {}
        for pipeline in repository.pipelines.values():
            for role in TEXT_ROLES:
                name = pipeline.models[role].name
                path = repository.path / name / "tokenizer.json"
                self._by_model[name] = PromptTokenizer(path, pipeline.max_prompt_tokens)

    def of(self, pipeline: PipelineSpec, role: str) -> PromptTokenizer:
        """The tokenizer of the model that plays `role`."""
        return self._by_model[pipeline.models[role].name]

    def count(self, pipeline: PipelineSpec, text: str) -> int:
        """The most tokens that any of the pipeline's encoders makes of `text`."""
        return max(self.of(pipeline, role).count(text) for role in TEXT_ROLES)
