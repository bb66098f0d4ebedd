"""`python -m export try`: one picture from a repository, on a local cluster that is started for it."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from export.errors import ExportError
from export.rehearsal.examples import draw
from export.serving import Serving, check_repository

CHECKOUT = Path(__file__).resolve().parents[1]
"""Where `python -m local` and `python -m backdrop` are run."""
LOOK_EVERY_S = 0.1
STOP_S = 60.0
"""How long the cluster may take to stop."""


def try_repository(options: argparse.Namespace, console: Console) -> None:
    """Checks a repository, starts a cluster on it, makes one picture, and stops the cluster.

    Raises:
        ExportError: if the repository cannot be served, the cluster does not start, or the picture fails.
    """
    pipeline = chosen(check_repository(options.out), options)
    with TemporaryDirectory() as temporary:
        folder, started = Path(temporary), time.monotonic()
        console.print(f"starting a local cluster on {options.out}", highlight=False, soft_wrap=True)
        with cluster(options.out, folder) as endpoint:
            ready = time.monotonic()
            console.print(f"ready after {ready - started:.1f} s; {pipeline.pipeline} makes a picture", highlight=False)
            generate(pipeline, options, endpoint, folder)
            seconds = time.monotonic() - ready
        options.picture.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / "pictures" / "1.png", options.picture)
    console.print(f"{options.picture}: made in {seconds:.1f} s.", highlight=False, soft_wrap=True)


def chosen(pipelines: Sequence[Serving], options: argparse.Namespace) -> Serving:
    """The pipeline to try.

    Raises:
        ExportError: if there is none of the name, or it serves neither of the two tasks that are tried.
    """
    default = json.loads((options.out / "pipeline.json").read_text())["default"]
    names = {each.pipeline: each for each in pipelines}
    pipeline = names.get(options.pipeline or default)
    if pipeline is None:
        raise ExportError(f"There is no pipeline {options.pipeline!r}; there are {', '.join(names)}.")
    if not {"text_to_image", "background"} & set(pipeline.tasks):
        raise ExportError("\n".join(pipeline.sentences))
    return pipeline


@contextmanager
def cluster(repository: Path, folder: Path) -> Iterator[str]:
    """Runs `python -m local` on free ports; yields the orchestrator's endpoint.

    Raises:
        ExportError: if it does not start; its own words say why.
    """
    state, log = folder / "state.json", folder / "local.log"
    command = [
        *(sys.executable, "-m", "local", "--repository", str(repository.resolve()), "--port", "0"),
        *("--state-file", str(state), "--log-dir", str(folder / "logs")),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=CHECKOUT, stdout=output, stderr=output)  # noqa: S603 - our own command
    try:
        while not state.is_file():
            if process.poll() is not None:
                raise ExportError(f"the cluster did not start:\n{log.read_text(errors='replace').strip()}")
            time.sleep(LOOK_EVERY_S)
        yield json.loads(state.read_text())["endpoints"]["orchestrator"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_S)


def generate(pipeline: Serving, options: argparse.Namespace, endpoint: str, folder: Path) -> None:
    """Makes one picture with the command line of the SDK.

    Raises:
        ExportError: if it fails; its own words say why.
    """
    task = ["text-to-image"]
    if "text_to_image" not in pipeline.tasks:
        task = ["background", "--product", str(drawn_product(folder / "product.png"))]
    command = [
        *(sys.executable, "-m", "backdrop", *task, "--endpoint", endpoint, "--pipeline", pipeline.pipeline),
        *("--prompt", options.prompt, "--out", str(folder / "pictures"), "--timeout", str(options.timeout_s)),
        *(() if options.steps is None else ("--steps", str(options.steps))),
    ]
    result = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)  # noqa: S603
    if result.returncode != 0:
        raise ExportError(f"the picture failed:\n{(result.stderr or result.stdout).strip()}")


def drawn_product(path: Path) -> Path:
    """Writes a drawn product with an alpha channel, so that no segmenter is needed."""
    import numpy as np
    from PIL import Image

    photo, mask = draw(0)
    alpha = (mask * 255).round().astype(np.uint8)
    Image.fromarray(np.dstack([photo, alpha])).save(path)
    return path
