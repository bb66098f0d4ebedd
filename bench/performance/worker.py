"""One worker of an arm without a server: reads orders as JSON lines, makes each picture, writes a line for it.

usage: python -m bench.performance.worker inprocess|diffusers --threads N

`inprocess` is the orchestrator's own pipeline over onnxruntime in this process, as the serving backend runs it: the
floor, without serving. `diffusers` is the plain loop of a PyTorch user over torch modules.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from backdrop._request import build_request
from bench.figures import ROOT
from bench.performance.workload import Order

Array = npt.NDArray[Any]
REPOSITORY = ROOT / "triton_repo"


class Sessions:
    """Every model of the repository in onnxruntime, loaded when it is first asked for."""

    def __init__(self, repository: Path, threads: int) -> None:
        self._repository, self._threads = repository, threads
        self._loaded: dict[str, Any] = {}

    def session(self, model: str) -> Any:
        """The model's session."""
        import onnxruntime

        if model not in self._loaded:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = self._threads
            options.inter_op_num_threads = 1
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
            path = self._repository / model / "1" / "model.onnx"
            self._loaded[model] = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return self._loaded[model]

    async def __call__(self, model: str, inputs: Mapping[str, Array], *, request_id: str) -> dict[str, Array]:
        """Runs a model on a batch of rows."""
        session = self.session(model)
        names = [spec.name for spec in session.get_outputs()]
        return dict(zip(names, session.run(names, dict(inputs)), strict=True))


class NoCache:
    """Computes everything each time."""

    async def get_or_compute(self, key: str, compute: Callable[[], Awaitable[dict[str, Array]]]) -> Any:
        """What was computed just now."""
        from orchestrator.cache import Lookup

        return Lookup(await compute(), "computed")


def inprocess(threads: int) -> Callable[[Order], bytes]:
    """The orchestrator's pipeline over onnxruntime."""
    from orchestrator import repository
    from orchestrator.admission import Admission, Limits
    from orchestrator.domain import Finished
    from orchestrator.parse import Parser
    from orchestrator.pipeline import Pipeline
    from orchestrator.scheduling import Turns
    from orchestrator.settings import Settings
    from orchestrator.tokenize import PromptTokenizers

    served = repository.load(REPOSITORY)
    tokenizers = PromptTokenizers(served)
    settings = Settings(triton_endpoints="nowhere:1", repository=REPOSITORY)  # type: ignore[call-arg]
    parser = Parser(settings, served, tokenizers)
    pipeline = Pipeline(
        *(Sessions(REPOSITORY, threads), NoCache(), tokenizers, Admission(Limits(16, 0)), Turns(lambda: 64)),
        max_buffered_events=10_000,
    )

    async def make(order: Order) -> bytes:
        request = build_request(
            order.photo(),
            prompt=order.prompt,
            seed=order.seed,
            steps=order.steps,
            guidance_scale=order.guidance_scale,
            pipeline=order.pipeline,
        )
        async for event in pipeline.run(parser.parse(request, f"{order.number:032x}")):
            if isinstance(event, Finished):
                return event.pictures[0].data
        raise AssertionError("a job ends with its pictures")

    return lambda order: asyncio.run(make(order))


def diffusers(threads: int) -> Callable[[Order], bytes]:
    """The plain loop over torch modules."""
    import io

    import torch
    from PIL import Image

    from bench.torch_reference import Order as TorchOrder
    from bench.torch_reference import TorchReference

    torch.set_num_threads(threads)
    references: dict[str, TorchReference] = {}

    def make(order: Order) -> bytes:
        if order.pipeline not in references:
            references[order.pipeline] = TorchReference(ROOT / "training" / "weights" / order.pipeline)
        with Image.open(io.BytesIO(order.photo())) as image:
            pixels = np.asarray(image)
        asked = TorchOrder(
            *(np.ascontiguousarray(pixels[..., :3]), np.ascontiguousarray(pixels[..., 3]), order.prompt),
            *(order.seed, order.steps, order.guidance_scale),
        )
        buffer = io.BytesIO()
        Image.fromarray(references[order.pipeline].generate(asked)).save(buffer, "PNG")
        return buffer.getvalue()

    return make


KINDS: dict[str, Callable[[int], Callable[[Order], bytes]]] = {"inprocess": inprocess, "diffusers": diffusers}


def main() -> int:
    """Answers orders until there are no more."""
    parser = argparse.ArgumentParser(prog="python -m bench.performance.worker", description=__doc__)
    parser.add_argument("kind", choices=list(KINDS))
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    make = KINDS[options.kind](options.threads)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        given = json.loads(line)
        data = make(Order(**given))
        sys.stdout.write(json.dumps({"digest": hashlib.sha256(data).hexdigest()}) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
