"""`python -m orchestrator.repository.reload`: has a Triton in the same pod load models again whose files changed.

This is for an engine that was rebuilt in its place in the store: the model, its fingerprint and its tensors stay the
same. Triton loads the new engine, sends it all further calls, and lets the old one finish its calls. Other weights are
another model with another fingerprint; they need new pods (docs/operations.md).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path

import structlog
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from orchestrator.concurrency import stop_event
from orchestrator.telemetry import logs

log = structlog.get_logger("orchestrator.repository.reload")
Signature = frozenset[tuple[str, int, int]]
_HEADER = "triton-grpc-protocol-"
_CALL_S = 5.0


def signature(model: Path) -> Signature:
    """Names, sizes and modification times of a model's files. Links are followed, broken links are skipped."""
    files = set()
    for file in model.rglob("*"):
        try:
            status = file.stat()
        except OSError:
            continue
        if file.is_file():
            files.add((str(file.relative_to(model)), status.st_size, status.st_mtime_ns))
    return frozenset(files)


class Reloader:
    """Watches a repository for one Triton.

    Args:
        repository: the folder that the Triton serves.
        triton: host:port, in the same pod.
        key_file: holds name=value of the header that Triton requires to load a model. Triton's container writes it at
            each start, so it is read for each load.
    """

    def __init__(self, repository: Path, triton: str, key_file: Path) -> None:
        self._key_file = key_file
        self._repository = repository
        self._client = InferenceServerClient(triton)
        self._served: dict[str, Signature] = {}
        self._seen: dict[str, Signature] = {}

    async def look(self) -> list[str]:
        """Looks once; returns the models that were loaded again."""
        loaded = []
        for model, now in (await asyncio.to_thread(self._signatures)).items():
            # A change counts once two looks in a row see the same files: then they are no longer being written.
            settled = self._seen.get(model) == now
            self._seen[model] = now
            if settled and self._served.setdefault(model, now) != now:
                # Recorded even if loading fails: the model is then tried again when its files change again.
                self._served[model] = now
                if await self._load(model):
                    loaded.append(model)
        return loaded

    async def close(self) -> None:
        """Closes the channel."""
        await self._client.close()

    def _signatures(self) -> Mapping[str, Signature]:
        return {file.parent.name: signature(file.parent) for file in self._repository.glob("*/config.pbtxt")}

    async def _load(self, model: str) -> bool:
        try:
            if not await self._client.is_model_ready(model, client_timeout=_CALL_S):
                return False  # this Triton does not serve the model
            name, _, value = self._key_file.read_text().strip().partition("=")
            # No time limit: an engine may take minutes to load, and the old one serves until then.
            await self._client.load_model(model, headers={_HEADER + name: value})
        except (OSError, InferenceServerException) as problem:
            log.error("model not loaded; the one before serves on", model=model, why=str(problem))
            return False
        log.info("model loaded again", model=model)
        return True


async def run(reloader: Reloader, every_s: float) -> None:
    """Looks every `every_s` seconds, until SIGTERM."""
    stop = stop_event()
    while not stop.is_set():
        try:
            await reloader.look()
        except (OSError, InferenceServerException) as problem:
            log.warning("not looked", why=str(problem))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), every_s)
    await reloader.close()


def main(arguments: list[str] | None = None) -> int:
    """Watches until it is stopped; returns 0."""
    parser = argparse.ArgumentParser(prog="python -m orchestrator.repository.reload", description=__doc__)
    parser.add_argument("--repository", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--triton", required=True, metavar="HOST:PORT")
    parser.add_argument("--key-file", type=Path, required=True, metavar="FILE", help="holds NAME=VALUE of the header")
    parser.add_argument("--every-s", type=float, default=15.0, metavar="S")
    options = parser.parse_args(arguments)
    logs.configure("info", "json")

    async def watch() -> None:
        await run(Reloader(options.repository, options.triton, options.key_file), options.every_s)

    asyncio.run(watch())
    return 0


if __name__ == "__main__":
    sys.exit(main())
