"""A batch that is cut and run side by side is answered as one that is not, whatever its number of rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton

from local.cluster import Cluster, Options
from tests.local import small


@pytest.mark.parametrize(("threads", "workers", "rows_a_run"), [(1, 3, 0), (2, 3, 0), (2, 2, 1), (2, 1, 2)])
def test_every_row_gets_its_own_answer(threads: int, workers: int, rows_a_run: int, tmp_path: Path) -> None:
    options = {"row_workers": workers, "intra_op_threads": threads, "rows_a_run": rows_a_run}
    parameters = [
        f'parameters {{ key: "{key}" value: {{ string_value: "{value}" }} }}' for key, value in options.items()
    ]
    repository = small.write_repository(tmp_path / "repository", "\n".join([small.CONFIG, *parameters]))
    with Cluster(Options(repository=repository, log_folder=tmp_path / "logs", only=("triton",))) as cluster:
        client = triton.InferenceServerClient(cluster.endpoints.triton[0])
        for rows in range(1, 9):
            values = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)
            tensor = triton.InferInput("x", [rows, 3], "FP32")
            tensor.set_data_from_numpy(values)
            assert np.array_equal(client.infer("double", [tensor]).as_numpy("y"), values * 2)
        client.close()
