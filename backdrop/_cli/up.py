"""The work behind `backdrop up`: hands over to the checkout's local cluster."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import backdrop
from backdrop._cli.failures import BAD_INPUT, Refusal

_NO_CHECKOUT = (
    "There is no checkout here. The installed package holds the SDK and this command line; the servers and models are "
    "in the repository: clone it, run `make demo` there once, then `backdrop up`."
)


def run(arguments: Sequence[str], repository: Path | None) -> None:
    """Becomes `python -m local` in the checkout; returns only by raising.

    It replaces this process, so that signals, exit status and the terminal pass through unchanged.

    Raises:
        Refusal: there is no checkout, or it has no models.
    """
    checkout = find_checkout()
    if checkout is None:
        raise Refusal(_NO_CHECKOUT, BAD_INPUT)
    models = repository or checkout / "triton_repo"
    if not (models / "pipeline.json").is_file():
        raise Refusal(f"{models} is no model repository: it has no pipeline.json.", BAD_INPUT)
    os.chdir(checkout)
    os.execv(sys.executable, [sys.executable, "-m", "local", *arguments])  # noqa: S606  (no shell is wanted)


def find_checkout() -> Path | None:
    """Returns the checkout that holds this package, else the one in the current folder, else None."""
    for folder in (Path(backdrop.__file__).resolve().parents[1], Path.cwd()):
        if (folder / "local" / "__main__.py").is_file():
            return folder
    return None
