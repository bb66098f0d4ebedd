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

from export.models import COMPONENTS
from export.running import session

SHIPPED = Path(__file__).resolve().parents[2] / "triton_repo"


def shipped_models() -> list[str]:
    """The models of the repository that is shipped; one name that leads to a skip where there is none."""
    path = SHIPPED / "pipeline.json"
    return list(json.loads(path.read_text())["models"]) if path.exists() else ["none"]


ROWS = 8
# Every batch size once, at places that are not the same for every row.
BATCHES: tuple[Sequence[int], ...] = (
    *((5,), (2, 5), (7, 0, 5), (5, 6, 1, 3), (4, 1, 5, 0, 2)),
    *((0, 1, 2, 3, 4, 5), (6, 5, 4, 3, 2, 1, 0), range(ROWS)),
)
# Real widths cost real time: one row, a guided pair, an odd number, a full batch.
FEW_BATCHES: tuple[Sequence[int], ...] = ((5,), (2, 5), (7, 0, 5), range(ROWS))


def pipeline_of(content: dict[str, Any], name: str) -> dict[str, Any]:
    """A pipeline that uses a model."""
    pipelines: list[dict[str, Any]] = list(content["pipelines"].values())
    return next(pipeline for pipeline in pipelines if name in pipeline["components"].values())


def inputs(content: dict[str, Any], name: str, bucket: tuple[int, int]) -> dict[str, Any]:
    """Eight different rows for a model, made from nothing but the content of `pipeline.json`."""
    random, model, pipeline = np.random.default_rng(3), content["models"][name], pipeline_of(content, name)
    specs = {spec["name"]: spec["shape"] for spec in model["inputs"]}
    texts = pipeline["text"]
    clip = name.startswith(("text_encoder_l", "text_encoder_g"))
    tokens = texts["max_tokens"] if clip else texts.get("t5_max_tokens", texts["max_tokens"])
    factor = pipeline["latents"]["factor"]
    outputs = {}
    for tensor, shape in specs.items():
        if tensor == "input_ids":
            outputs[tensor] = random.integers(0, 60, (ROWS, tokens))
            continue
        # A denoiser's mask is one of latents, every other mask is a picture's.
        at_pixels = tensor == "image" or (tensor == "mask" and "sample" not in specs)
        sizes = iter(
            [tokens] if tensor == "encoder_hidden_states" else [side // (1 if at_pixels else factor) for side in bucket]
        )
        values = random.standard_normal([ROWS, *(next(sizes) if size == -1 else size for size in shape)])
        if tensor == "timestep":
            values = np.linspace(999, 1, ROWS)[:, None]
        if tensor == "image_scale":
            values = np.linspace(0, 1.4, ROWS)[:, None]
        if tensor == "mask":
            values = values.clip(0, 1)
        if tensor == "adapter":
            outputs[tensor] = random.integers(0, 1 + model["adapters"]["rows"], (ROWS, *shape))
            continue
        outputs[tensor] = values.astype(np.float32)
    return outputs


def check(repository: Path, name: str, batches: Iterable[Sequence[int]], bucket: tuple[int, int] | None = None) -> None:
    """Compares every row in every batch with the row alone, at one of the pipeline's buckets if none is named."""
    content = json.loads((repository / "pipeline.json").read_text())
    # Not a square, where there is one: height and width must not be mixed up either.
    bucket = bucket or pipeline_of(content, name)["buckets"][-1]
    feed = inputs(content, name, bucket)
    path = repository / name / "1" / "model.onnx"
    single, alone = session(path), dict[int, list[Any]]()
    for threads in (1, 2):
        run = session(path, threads)
        for batch in batches:
            rows = list(batch)
            outputs = run.run(None, {tensor: values[rows] for tensor, values in feed.items()})
            for place, row in enumerate(rows):
                if row not in alone:
                    alone[row] = single.run(None, {tensor: values[[row]] for tensor, values in feed.items()})
                for one, many in zip(alone[row], outputs, strict=True):
                    assert np.array_equal(one[0], many[place]), (name, threads, rows, row)


@pytest.mark.parametrize("name", list(COMPONENTS))
def test_tiny_rows_are_exact(name: str, tiny_repository: Path) -> None:
    check(tiny_repository, name, BATCHES)


@pytest.mark.parametrize("name", shipped_models())
def test_shipped_rows_are_exact(name: str) -> None:
    if not (SHIPPED / "pipeline.json").exists():
        pytest.skip("no repository has been exported to triton_repo/ yet")
    check(SHIPPED, name, FEW_BATCHES)


@pytest.mark.parametrize("name", [name for name in shipped_models() if name.startswith("denoiser")])
def test_rows_of_small_pictures_are_exact(name: str) -> None:
    """Twelve tokens at the lowest level: onnxruntime divides so few among threads by other rules."""
    check(SHIPPED, name, FEW_BATCHES, (128, 96))
