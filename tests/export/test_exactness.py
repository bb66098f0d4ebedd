"""A row's result does not depend on its company: bit for bit, in any batch of 1…8, with one thread and with two.

Checked on the graphs directly, with the session options of the serving backend, on the tiny export and on the
repository that is shipped (its layers are wider, and blocking depends on widths).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.parity import session

SHIPPED = Path(__file__).resolve().parents[2] / "triton_repo"
ROLES = ["segmenter", "text_encoder_l", "text_encoder_g", "vae_encoder", "denoiser", "vae_decoder", "reward"]
ROWS = 8
# Every batch size once, at places that are not the same for every row.
BATCHES: tuple[Sequence[int], ...] = (
    *((5,), (2, 5), (7, 0, 5), (5, 6, 1, 3), (4, 1, 5, 0, 2)),
    *((0, 1, 2, 3, 4, 5), (6, 5, 4, 3, 2, 1, 0), range(ROWS)),
)
# Real widths cost real time: one row, a guided pair, an odd number, a full batch.
FEW_BATCHES: tuple[Sequence[int], ...] = ((5,), (2, 5), (7, 0, 5), range(ROWS))


def inputs(role: str, model: dict[str, Any], pipeline: dict[str, Any], bucket: tuple[int, int]) -> dict[str, Any]:
    """Eight different rows for a model, made from nothing but `pipeline.json`."""
    random = np.random.default_rng(3)
    found = {}
    for spec in model["inputs"]:
        name, shape = spec["name"], list(spec["shape"])
        if name == "input_ids":
            found[name] = random.integers(0, 60, (ROWS, pipeline["text"]["max_tokens"]))
            continue
        factor = 1 if name == "image" or (name == "mask" and role != "denoiser") else pipeline["latents"]["factor"]
        sizes = iter(side // factor for side in bucket)
        if name == "encoder_hidden_states":
            sizes = iter([pipeline["text"]["max_tokens"]])
        values = random.standard_normal([ROWS, *(next(sizes) if size == -1 else size for size in shape)])
        if name == "timestep":
            values = np.linspace(999, 1, ROWS)[:, None]
        if name == "mask":
            values = values.clip(0, 1)
        found[name] = values.astype(np.float32)
    return found


def check(repository: Path, role: str, batches: Iterable[Sequence[int]]) -> None:
    """Compares every row in every batch with the row alone."""
    content = json.loads((repository / "pipeline.json").read_text())
    pipeline = content["pipelines"][content["default"]]
    # Not a square, where there is one: height and width must not be mixed up either.
    bucket = pipeline["buckets"][-1]
    feed = inputs(role, content["models"][role], pipeline, bucket)
    path = repository / role / "1" / "model.onnx"
    single, alone = session(path), dict[int, list[Any]]()
    for threads in (1, 2):
        run = session(path, threads)
        for batch in batches:
            rows = list(batch)
            found = run.run(None, {name: values[rows] for name, values in feed.items()})
            for place, row in enumerate(rows):
                if row not in alone:
                    alone[row] = single.run(None, {name: values[[row]] for name, values in feed.items()})
                for one, many in zip(alone[row], found, strict=True):
                    assert np.array_equal(one[0], many[place]), (role, threads, rows, row)


@pytest.mark.parametrize("role", ROLES)
def test_tiny_rows_are_exact(role: str, tiny_repository: Path) -> None:
    check(tiny_repository, role, BATCHES)


@pytest.mark.parametrize("role", ROLES)
def test_shipped_rows_are_exact(role: str) -> None:
    if not (SHIPPED / "pipeline.json").exists():
        pytest.skip("no repository has been exported to triton_repo/ yet")
    check(SHIPPED, role, FEW_BATCHES)
