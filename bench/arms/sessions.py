"""onnxruntime answers model calls: one after another, or gathered to batches while whole requests run side by side."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime

Arrays = Mapping[str, npt.NDArray[Any]]
Answer = dict[str, npt.NDArray[Any]]
# After so many turns of the event loop without a new call, every request waits for an answer.
_QUIET_TURNS = 3


class Models(Protocol):
    """Runs a model on a batch of rows."""

    def run(self, model: str, inputs: Arrays) -> Answer: ...


class Sessions:
    """A session a model, each loaded at its first call; runs a call at once, before any other."""

    def __init__(self, repository: Path, threads: int) -> None:
        self._repository = repository
        self._options = onnxruntime.SessionOptions()
        self._options.intra_op_num_threads = threads
        self._options.inter_op_num_threads = 1
        # As the cluster's own backend: on a shared machine, spinning threads take the cores from threads with work.
        self._options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._sessions: dict[str, onnxruntime.InferenceSession] = {}

    async def __call__(self, model: str, inputs: Arrays, *, request_id: str, again: bool = False) -> Answer:
        """Answers a call."""
        return self.run(model, inputs)

    def run(self, model: str, inputs: Arrays) -> Answer:
        """Runs a model on a batch of rows."""
        session = self._session(model)
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, dict(inputs)), strict=True))

    def _session(self, model: str) -> onnxruntime.InferenceSession:
        if model not in self._sessions:
            versions = sorted((self._repository / model).glob("[0-9]*"), key=lambda folder: int(folder.name))
            file = versions[-1] / "model.onnx"
            self._sessions[model] = onnxruntime.InferenceSession(
                str(file), self._options, providers=["CPUExecutionProvider"]
            )
        return self._sessions[model]


def open_models(parameters: Mapping[str, str]) -> Models:
    """The models of the monolith: a session each."""
    return Sessions(Path(parameters["repository"]), int(parameters["threads"]))


@dataclasses.dataclass(frozen=True)
class _Call:
    model: str
    inputs: Arrays
    answer: asyncio.Future[Answer]

    @property
    def kind(self) -> tuple[object, ...]:
        """Calls of one kind may share a batch."""
        return self.model, *((name, value.shape[1:]) for name, value in sorted(self.inputs.items()))


class BatchGatherer:
    """Waits until every request of a batch has sent its next call, and answers calls of one kind in one run."""

    def __init__(self, sessions: Models, max_rows: int) -> None:
        self._sessions = sessions
        self._max_rows = max_rows
        self._calls: list[_Call] = []

    async def __call__(self, model: str, inputs: Arrays, *, request_id: str, again: bool = False) -> Answer:
        """Answers a call, together with others of its kind."""
        loop = asyncio.get_running_loop()
        call = _Call(model, inputs, loop.create_future())
        self._calls.append(call)
        if len(self._calls) == 1:
            loop.call_soon(self._settle, 1, 0)
        return await call.answer

    def _settle(self, seen: int, quiet: int) -> None:
        quiet = quiet + 1 if len(self._calls) == seen else 0
        if quiet < _QUIET_TURNS:
            asyncio.get_running_loop().call_soon(self._settle, len(self._calls), quiet)
            return
        calls, self._calls = self._calls, []
        kinds: dict[tuple[object, ...], list[_Call]] = {}
        for call in calls:
            kinds.setdefault(call.kind, []).append(call)
        for group in kinds.values():
            self._answer(group)

    def _answer(self, group: list[_Call]) -> None:
        while group:
            batch: list[_Call] = []
            rows = 0
            while group and (not batch or rows + _rows(group[0]) <= self._max_rows):
                rows += _rows(group[0])
                batch.append(group.pop(0))
            stacked = {name: np.concatenate([call.inputs[name] for call in batch]) for name in batch[0].inputs}
            outputs, start = self._sessions.run(batch[0].model, stacked), 0
            for call in batch:
                end = start + _rows(call)
                call.answer.set_result({name: value[start:end] for name, value in outputs.items()})
                start = end


def _rows(call: _Call) -> int:
    return len(next(iter(call.inputs.values())))
