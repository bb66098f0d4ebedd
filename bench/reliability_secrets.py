"""Planted secrets that leave the server otherwise than in its pictures, on every way in which a call can end."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from bench.figures import Figure, at_most
from tests.leaks import planted
from tests.leaks.paths import drive
from tests.leaks.site import running


def secrets(command: str) -> list[Figure]:
    """Counts them in logs at DEBUG, spans, metrics, errors, audit records and the metadata of pictures."""
    hits, paths = 0, 0
    for log_format in ("json", "console"):
        with tempfile.TemporaryDirectory() as folder:
            more, paths = asyncio.run(_searched(Path(folder), log_format))
        hits += more
    name = "planted secrets found in logs, spans, metrics, errors, audit"
    spread = f"{len(planted.SECRETS)} secrets and the pixels; {paths} ways in which a call ends, two formats of logs"
    return [Figure(name, hits, at_most(0), command, spread)]


async def _searched(folder: Path, log_format: str) -> tuple[int, int]:
    """How many hits, and over how many paths that ended as they should."""
    async with running(folder, log_format) as site:
        statuses = await drive(site)
    wrong = [name for name, (expected, seen) in statuses.items() if seen is not expected]
    assert not wrong, f"paths that ended otherwise than expected: {wrong}"
    hits = [*planted.search(site.sinks()), *planted.search_private(site.seen)]
    hits += [f"{metadata} in a picture" for picture in site.pictures if (metadata := planted.metadata_of(picture))]
    return len(hits), len(statuses)
