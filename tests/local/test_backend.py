"""The onnxruntime backend behind a real Triton: it answers what onnxruntime answers, for a row alone and in a batch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from export.models import COMPONENTS
from export.running import session
from local.cluster import Cluster, Options
from tests.export.test_exactness import ROWS, inputs

BUCKET = (64, 96)


@pytest.fixture(scope="module")
def client(tiny_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[triton.InferenceServerClient]:
    """A client of a Triton that serves the tiny pipeline."""
    logs = tmp_path_factory.mktemp("logs")
    with Cluster(Options(repository=tiny_repository, log_folder=logs, only=("triton",))) as cluster:
        connection = triton.InferenceServerClient(cluster.endpoints.triton[0])
        yield connection
        connection.close()


def rows_for(repository: Path, role: str) -> tuple[dict[str, Any], list[str]]:
    """Eight rows for a model, and the names of its outputs."""
    content = json.loads((repository / "pipeline.json").read_text())
    return inputs(content, role, BUCKET), [spec["name"] for spec in content["models"][role]["outputs"]]


def infer(client: triton.InferenceServerClient, role: str, feed: dict[str, Any], outputs: list[str]) -> list[Any]:
    """One request."""
    tensors = []
    for name, values in feed.items():
        tensor = triton.InferInput(name, list(values.shape), "INT64" if values.dtype == np.int64 else "FP32")
        tensor.set_data_from_numpy(np.ascontiguousarray(values))
        tensors.append(tensor)
    requested = [triton.InferRequestedOutput(name) for name in outputs]
    answer = client.infer(role, tensors, outputs=requested, client_timeout=60)
    return [answer.as_numpy(name) for name in outputs]


@pytest.mark.parametrize("role", list(COMPONENTS))
def test_served_is_what_onnxruntime_computes(
    role: str, client: triton.InferenceServerClient, tiny_repository: Path
) -> None:
    feed, outputs = rows_for(tiny_repository, role)
    expected = session(tiny_repository / role / "1" / "model.onnx").run(outputs, feed)
    for one, other in zip(infer(client, role, feed, outputs), expected, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("role", ["denoiser", "denoiser_dit", "text_encoder_g"])
def test_requests_that_meet_in_a_batch_get_their_own_rows(
    role: str, client: triton.InferenceServerClient, tiny_repository: Path
) -> None:
    feed, outputs = rows_for(tiny_repository, role)
    expected = session(tiny_repository / role / "1" / "model.onnx").run(outputs, feed)

    def ask(rows: list[int]) -> None:
        results = infer(client, role, {name: values[rows] for name, values in feed.items()}, outputs)
        for one, other in zip(results, expected, strict=True):
            assert np.array_equal(one, other[rows])

    # One and two rows a request, as variants without and with guidance have.
    row_sets = [[row] for row in range(ROWS)] * 6 + [[row, row - 1] for row in range(1, ROWS)] * 4
    before = batches(client, role)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(ask, row_sets))
    after = batches(client, role)
    assert sum(after.values()) > sum(before.values())
    assert max(after) > 2, "no two requests met; the test shows nothing"


def batches(client: triton.InferenceServerClient, role: str) -> dict[int, int]:
    """How many batches of each size a model has run."""
    (model,) = client.get_inference_statistics(role).model_stats
    return {entry.batch_size: entry.compute_infer.count for entry in model.batch_stats}


def test_one_bad_request_fails_alone(client: triton.InferenceServerClient, tiny_repository: Path) -> None:
    feed, outputs = rows_for(tiny_repository, "text_encoder_l")
    ids = feed["input_ids"]
    expected = session(tiny_repository / "text_encoder_l" / "1" / "model.onnx").run(outputs, feed)

    def ask(row: int) -> bool:
        bad = row % 4 == 0
        mine = np.full_like(ids[:1], 10**6) if bad else ids[row % ROWS][None]
        try:
            (result,) = infer(client, "text_encoder_l", {"input_ids": mine}, outputs)
        except InferenceServerException as error:
            # Foreign texts and paths stay in the log.
            return bad and error.message() == "inference failed"
        return not bad and np.array_equal(result[0], expected[0][row % ROWS])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(64)))
    assert client.is_model_ready("text_encoder_l")


def test_only_the_outputs_that_were_asked_for_come_back(
    client: triton.InferenceServerClient, tiny_repository: Path
) -> None:
    feed, _ = rows_for(tiny_repository, "text_encoder_g")
    (result,) = infer(client, "text_encoder_g", feed, ["text_embeds"])
    assert result.shape == (ROWS, 16)
