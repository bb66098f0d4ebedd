"""Removes engines that no node has used for a long time: those of earlier graphs, TensorRTs and GPUs."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock, Timeout

from export.engines.identity import FACTS, Identity
from export.files import is_partial

_DAY_S = 86_400


def mark_used(store: Path, engines: Iterable[Identity]) -> None:
    """Records that a node uses these engines: the time of their `engine.json`."""
    for identity in engines:
        # A store that this node may only read keeps its times; then nothing is collected from here either.
        with contextlib.suppress(OSError):
            os.utime(store / identity.folder / FACTS)


def collect(store: Path, keep: Iterable[Identity], days: float) -> list[Path]:
    """Removes what no node has used for `days`, and what a stopped build left; returns the removed folders.

    Args:
        store: With the engines.
        keep: What this node uses: it stays, whatever its time.
        days: Longer than any pod lives without a restart, because a pod marks its engines when it starts.
    """
    kept = {store / identity.folder for identity in keep}
    removed = []
    for folder in sorted(store.glob("*/*/*/*")):
        oldest = days if not is_partial(folder) else min(days, 1.0)
        facts = folder if is_partial(folder) else folder / FACTS
        with contextlib.suppress(OSError, Timeout):
            if folder in kept or not folder.is_dir() or time.time() - facts.stat().st_mtime < oldest * _DAY_S:
                continue
            with FileLock(f"{folder}.lock", timeout=0):
                shutil.rmtree(folder)
                removed.append(folder)
    return removed
