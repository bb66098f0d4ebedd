"""The work behind `backdrop up`: hands over to the checkout's local cluster."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import backdrop
from backdrop._cli.failures import BAD_INPUT, Refusal

_NO_CHECKOUT = (
    "There is no checkout here. What pip installs is the SDK and this command line alone; the servers and their models "
    "come with the repository: clone it, run `make demo` there once, then `backdrop up`."
)


def run(arguments: Sequence[str], repository: Path | None) -> None:
    """Becomes `python -m local` in the checkout; returns only by raising.

    Replacing this process is the surest way to pass on what comes in and out: signals, exit status, the terminal.

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
    """Returns the checkout that this package lies in, else the one in the current folder, else None."""
    for folder in (Path(backdrop.__file__).resolve().parents[1], Path.cwd()):
        if (folder / "local" / "__main__.py").is_file():
            return folder
    return None
