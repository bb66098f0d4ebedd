"""Triton's `onnxruntime` backend for machines whose Triton has none: one Python model for every component.

Triton looks for `libtriton_onnxruntime.so` in its backend folder. If it finds this file instead, it serves models of
`backend: "onnxruntime"` through its Python backend. So the same repository runs under an official Triton image, which
has the real backend.

A row's result does not depend on the other rows of its batch: onnxruntime packs constant weights when it loads a graph,
and its packed matrix multiplication adds in the same order for one row and for many. (The unpacked one has a separate
path for a single row.) So prepacking stays on, and a row needs no padding. `tests/local` compares results bit by bit.

Therefore a batch may be cut: with `row_workers` in the config's parameters, so many threads each run a part of the rows
in parallel. They synchronise once a batch; threads that share every operator (`intra_op_threads`) synchronise hundreds
of times, and are used for a single row only. A part is run as a whole, or in runs of `rows_a_run` rows: larger runs are
faster if their activations fit the caches, and slower if they do not.

Graphs with more than one thread, of either kind, take turns at the machine's cores (`cores`). The others are small and
take none.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

if TYPE_CHECKING:
    from local.backends.onnxruntime.cores import Cores
else:
    from cores import Cores  # a stub imports from the folder of its model


def parameter(config: dict[str, Any], name: str, default: str) -> str:
    """A `parameters` entry of the model's config."""
    return str(config.get("parameters", {}).get(name, {}).get("string_value", default))


class Graph:
    """A graph in onnxruntime sessions: a wide one for a single row, and a narrow one for parallel runs of several."""

    def __init__(self, path: Path, threads: int, workers: int, rows_a_run: int) -> None:
        self.session = self._session(path, threads)
        self._threads, self._workers, self._rows_a_run = threads, workers, rows_a_run
        # Row workers cost a second copy of the weights.
        self._narrow = self._session(path, 1) if workers > 1 and threads > 1 else self.session
        self._pool = ThreadPoolExecutor(max(1, workers - 1))
        # In the folder of this file: every server has a copy of its own.
        self._cores = [Cores(Path(__file__).parent) for _ in range(workers)] if threads > 1 or workers > 1 else []

    @staticmethod
    def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # A thread that spins while it waits for work takes a core from other processes.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        # Both sessions share one arena. Without it the first runs of the second session took twice as long.
        options.add_session_config_entry("session.use_env_allocators", "1")
        # It would fuse quantised pairs into integer products, which do not exist for FP8.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(self, outputs: list[str], feed: Mapping[str, Any]) -> list[Any]:
        """Runs a batch: arrays with the batch dimension first, outputs in the order of their names."""
        if not self._cores:
            return list(self.session.run(outputs, feed))
        rows = len(next(iter(feed.values())))
        parts = min(self._workers, rows)
        if parts == 1:
            return self._part(self._cores[0], outputs, feed, self._threads)
        bounds = [rows * part // parts for part in range(parts + 1)]
        slices = [{name: value[start:end] for name, value in feed.items()} for start, end in itertools.pairwise(bounds)]
        others = [self._pool.submit(self._part, self._cores[part], outputs, slices[part]) for part in range(1, parts)]
        first = self._part(self._cores[0], outputs, slices[0])
        return _joined([first, *(other.result() for other in others)])

    def _part(self, cores: Cores, outputs: list[str], feed: Mapping[str, Any], most: int = 1) -> list[Any]:
        rows, results = len(next(iter(feed.values()))), list[list[Any]]()
        size = self._rows_a_run or rows
        for start in range(0, rows, size):
            piece = {name: value[start : start + size] for name, value in feed.items()}
            with cores.held(most) as held:
                results.append((self.session if held > 1 else self._narrow).run(outputs, piece))
        return _joined(results)


def _share_memory() -> None:
    """Gives all sessions of this process one arena."""
    memory = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(memory, None)


def _joined(results: list[list[Any]]) -> list[Any]:
    return results[0] if len(results) == 1 else [np.concatenate(pieces) for pieces in zip(*results, strict=True)]


class TritonPythonModel:
    """One instance of a model: Triton creates an object of this class in a stub process and calls its methods."""

    def initialize(self, args: dict[str, str]) -> None:
        """Loads the graph.

        Raises:
            TritonModelException: if the graph's tensors are not those of the config.
        """
        _share_memory()
        config = json.loads(args["model_config"])
        filename = config.get("default_model_filename") or "model.onnx"
        path = Path(args["model_repository"]) / args["model_version"] / filename
        threads, workers = parameter(config, "intra_op_threads", "1"), parameter(config, "row_workers", "1")
        self.graph = Graph(path, int(threads), int(workers), int(parameter(config, "rows_a_run", "0")))
        self.inputs = [entry["name"] for entry in config["input"]]
        self.outputs = [entry["name"] for entry in config["output"]]
        for kind, names, values in (
            ("inputs", self.inputs, self.graph.session.get_inputs()),
            ("outputs", self.outputs, self.graph.session.get_outputs()),
        ):
            if sorted(names) != sorted(value.name for value in values):
                raise pb_utils.TritonModelException(f"{filename}: its {kind} are not those of config.pbtxt")

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answers a batch: stacks the rows of every request, runs once, splits."""
        responses: list[Any] = [None] * len(requests)
        waiting = []
        for index, request in enumerate(requests):
            if request.is_cancelled():
                error = pb_utils.TritonError("the request was cancelled", pb_utils.TritonError.CANCELLED)
                responses[index] = pb_utils.InferenceResponse(error=error)
            else:
                waiting.append(index)
        if waiting:
            for index, response in zip(waiting, self.answer([requests[index] for index in waiting]), strict=True):
                responses[index] = response
        return responses

    def answer(self, requests: list[Any]) -> list[Any]:
        """Runs requests as one batch; if that fails, each alone, so that a bad request fails alone."""
        try:
            return self.run(requests)
        except Exception as error:  # onnxruntime raises many types; the stub must answer and not end
            if len(requests) > 1:
                return [response for request in requests for response in self.answer([request])]
            pb_utils.Logger.log_error(f"inference failed: {error}")
            return [pb_utils.InferenceResponse(error=pb_utils.TritonError("inference failed"))]

    def run(self, requests: list[Any]) -> list[Any]:
        """Runs requests as one batch."""
        parts = [
            {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs}
            for request in requests
        ]
        # A single request is the common case at low load; its tensors are used without a copy.
        feed = (
            parts[0]
            if len(parts) == 1
            else {name: np.concatenate([part[name] for part in parts]) for name in self.inputs}
        )
        results = self.graph.run(self.outputs, feed)
        responses, start = [], 0
        for request, part in zip(requests, parts, strict=True):
            end = start + len(part[self.inputs[0]])
            names = set(request.requested_output_names())
            tensors = [
                pb_utils.Tensor(name, result[start:end])
                for name, result in zip(self.outputs, results, strict=True)
                if name in names
            ]
            responses.append(pb_utils.InferenceResponse(output_tensors=tensors))
            start = end
        return responses
