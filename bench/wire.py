"""The wire between orchestrator and Triton: bytes and milliseconds of a step, as whole messages and by reference.

usage: python -m bench.wire

A model that returns its sample stands for the denoiser, so that a call costs the wire and nothing else. The ways take
turns within each round; a figure is the ratio of two ways in the same round.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper
from rich.console import Console

from bench.figures import Figure, at_most, record
from bench.rounds import ratios
from local.cluster import Cluster, Options
from orchestrator.triton import Sharing, TritonPool, Wire
from orchestrator.triton.shared_memory import Region

AREA = "wire"
COMMAND = "python -m bench.wire"
ROUNDS, WARM_UP = 150, 10
ROWS = 2  # of a guided step
console = Console()

Arrays = dict[str, npt.NDArray[np.float32]]
# Denoisers by the shapes of their rows: the reference model at 256 × 256 pixels, SDXL with IP-Adapter at 1024 × 1024.
SHAPES: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "reference at 256²": {
        "sample": (4, 32, 32), "mask": (1, 32, 32), "masked_image_latents": (4, 32, 32), "timestep": (1,),
        "encoder_hidden_states": (77, 256), "text_embeds": (160,), "time_ids": (6,), "image_tokens": (4, 256),
        "image_scale": (1,),
    },
    "SDXL at 1024²": {
        "sample": (4, 128, 128), "mask": (1, 128, 128), "masked_image_latents": (4, 128, 128), "timestep": (1,),
        "encoder_hidden_states": (77, 2048), "text_embeds": (1280,), "time_ids": (6,), "image_tokens": (4, 2048),
        "image_scale": (1,),
    },
}  # fmt: skip
CHANGING = ("sample", "timestep")


def write_repository(folder: Path) -> None:
    """A denoiser of any size that returns its sample."""
    shapes = SHAPES["SDXL at 1024²"]
    dims = {name: [n if name == "time_ids" or n in (1, 4) else -1 for n in shape] for name, shape in shapes.items()}
    inputs = [
        helper.make_tensor_value_info(
            name, TensorProto.FLOAT, ["rows", *(f"{name}_{at}" if n < 0 else n for at, n in enumerate(shape))]
        )
        for name, shape in dims.items()
    ]
    output = helper.make_tensor_value_info("noise_pred", TensorProto.FLOAT, ["rows", 4, "height", "width"])
    graph = helper.make_graph([helper.make_node("Identity", ["sample"], ["noise_pred"])], "echo", inputs, [output])
    (folder / "echo" / "1").mkdir(parents=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, folder / "echo" / "1" / "model.onnx")

    def tensor(name: str, shape: list[int]) -> str:
        return f'{{ name: "{name}" data_type: TYPE_FP32 dims: [ {", ".join(map(str, shape))} ] }}'

    listed = ", ".join(tensor(name, shape) for name, shape in dims.items())
    (folder / "echo" / "config.pbtxt").write_text(
        f'name: "echo"\nbackend: "onnxruntime"\nmax_batch_size: 8\ninput [ {listed} ]\n'
        f"output [ {tensor('noise_pred', [4, -1, -1])} ]\ndynamic_batching {{ }}\n"
        "instance_group [ { kind: KIND_CPU count: 1 } ]\n"
    )
    (folder / "pipeline.json").write_text(json.dumps({"format": 1, "pipelines": {}, "models": {}}))


@asynccontextmanager
async def pool_on(endpoint: str, wire: Wire, sharing: Sharing) -> AsyncIterator[TritonPool]:
    """A pool over one way of sending."""
    pool = TritonPool([endpoint], wire=wire, sharing=sharing)
    await pool.start()
    try:
        yield pool
    finally:
        await pool.close()


def rows(shapes: Mapping[str, tuple[int, ...]], *, constant: bool) -> Arrays:
    """A guided step's rows; conditioning that is not `constant` is laid out anew for each call."""
    generator = np.random.default_rng(0)
    arrays = {name: generator.standard_normal((ROWS, *shape), dtype=np.float32) for name, shape in shapes.items()}
    for name, array in arrays.items():
        array.flags.writeable = name in CHANGING or not constant
    return arrays


async def measure(endpoint: str, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, list[float]]:
    """Milliseconds of each round's step, by the way of sending."""
    whole, constants = rows(shapes, constant=False), rows(shapes, constant=True)
    async with (
        pool_on(endpoint, Wire(), Sharing.OFF) as plain,
        pool_on(endpoint, Wire(Region(64 << 20)), Sharing.ON) as shared,
    ):
        ways: list[tuple[str, TritonPool, Arrays]] = [("in full", plain, whole), ("by reference", shared, constants)]
        taken: dict[str, list[float]] = {name: [] for name, _, _ in ways}
        for number in range(WARM_UP + ROUNDS):
            turn = number % len(ways)  # the heap is small after a small message: each way comes after each in turn
            for name, pool, arrays in ways[turn:] + ways[:turn]:
                begin = time.perf_counter()
                answer: Mapping[str, npt.NDArray[Any]] = await pool.infer("echo", arrays)
                taken[name].append(1000 * (time.perf_counter() - begin))
                if not np.array_equal(answer["noise_pred"], arrays["sample"]):
                    raise AssertionError(f"{name}: the answer is not what was sent")
    return {name: values[WARM_UP:] for name, values in taken.items()}


def figures(name: str, shapes: Mapping[str, tuple[int, ...]], taken: Mapping[str, list[float]]) -> list[Figure]:
    """The rows of one denoiser."""
    full = sum(4 * ROWS * int(np.prod(shape)) for shape in shapes.values())
    changing = sum(4 * ROWS * int(np.prod(shapes[each])) for each in CHANGING)
    title = f"{name}: bytes of a guided step, by reference ÷ in full"
    sent = Figure(title, round(changing / full, 3), at_most(0.25), COMMAND, f"{changing} of {full} bytes")
    quotients = ratios(taken["by reference"], taken["in full"])
    value = round(statistics.median(quotients), 3)
    spread = (
        f"{statistics.median(taken['by reference']):.2f} of {statistics.median(taken['in full']):.2f} ms, "
        "ratios' quartiles "
        f"{np.percentile(quotients, 25):.2f}–{np.percentile(quotients, 75):.2f}, {ROUNDS} rounds in turns"
    )
    reason = "what changes at every step, sample and prediction, still goes as bytes"
    mark = at_most(0.9 if "256" in name else 0.5, reason)
    title = f"{name}: the wire's milliseconds of a guided step, by reference ÷ in full"
    return [sent, Figure(title, value, mark, COMMAND, spread)]


def main() -> int:
    """Measures and records; the exit status is 1 when a mark is missed."""
    every: list[Figure] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_repository(folder / "repository")
        options = Options(repository=folder / "repository", log_folder=folder / "logs", only=("triton",))
        with Cluster(options) as cluster:
            for name, shapes in SHAPES.items():
                every += figures(name, shapes, asyncio.run(measure(cluster.endpoints.triton[0], shapes)))
    record(AREA, *every)
    for figure in every:
        console.print(str(figure))
    return 0 if all(figure.met for figure in every) else 1


if __name__ == "__main__":
    sys.exit(main())
