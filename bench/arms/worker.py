"""A worker process of the arms without a server: reads requests, writes pictures, one after another.

usage: python -m bench.arms.worker KIND FOLDER THREADS      (KIND: onnxruntime with a repository, torch with weights)

Frames on standard input and output are four bytes of length, big-endian, and so many bytes. The process that measures
has no onnxruntime or torch in it: their threads would share its cores while it keeps the time.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Callable
from pathlib import Path

from bench.requests import BenchRequest, png

READY = b"ready"


def generator(kind: str, folder: Path, threads: int) -> Callable[[bytes], bytes]:
    """A function from a serialized GenerateRequest to a picture.

    Raises:
        ValueError: there is no such kind of worker.
    """
    if kind == "onnxruntime":
        from bench.arms.loop import Loop
        from bench.arms.sessions import Sessions

        loop = Loop(folder, Sessions(folder, threads))
        runner = asyncio.Runner()
        return lambda message: runner.run(loop.generate(message))
    if kind == "torch":
        import torch  # only where it is used

        from bench.torch_reference import TorchReference

        torch.set_num_threads(threads)
        reference = functools.cache(lambda pipeline: TorchReference(folder / pipeline))

        def generate(message: bytes) -> bytes:
            request = BenchRequest.from_message(message)
            return png(reference(request.pipeline).generate(request))

        return generate
    raise ValueError(f"no worker runs on {kind!r}")


def main() -> None:
    """Answers until standard input ends."""
    kind, folder, threads = sys.argv[1:]
    generate = generator(kind, Path(folder), int(threads))
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    answer = READY
    while True:
        sink.write(len(answer).to_bytes(4, "big") + answer)
        sink.flush()
        head = source.read(4)
        if len(head) < 4:
            return
        answer = generate(source.read(int.from_bytes(head, "big")))


if __name__ == "__main__":
    main()
