"""A campaign during which orchestrators and the campaign itself are killed: everything is made, nothing twice."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from local.orchestrator import ROOT
from tests.faults.site import Plan, Site

JOBS = 16
WAIT_S = 60.0


class Campaign:
    """The command over a file of JOBS requests."""

    def __init__(self, folder: Path, endpoints: list[str]) -> None:
        self.folder = folder
        self.results = folder / "results"
        self._file = folder / "campaign.jsonl"
        self._endpoint = "ipv4:" + ",".join(endpoints)
        jobs = [
            {"name": f"beach-{seed}", "task": "text-to-image", "prompt": "a beach", "seed": seed, "steps": 20}
            for seed in range(1, JOBS + 1)
        ]
        self._file.write_text("".join(json.dumps(job) + "\n" for job in jobs))

    @property
    def made(self) -> list[str]:
        """The folders that are complete."""
        return [path.name for path in self.results.glob("beach-*")]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """A process of the command."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "backdrop", "campaign", str(self._file), "--out", str(self.results)),
            *("--endpoint", self._endpoint, "--at-once", "4"),
            cwd=ROOT, env={**os.environ, "NO_COLOR": "1"}, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def until_made(self, count: int) -> None:
        """Waits until so many results are there."""
        async with asyncio.timeout(WAIT_S):
            while len(self.made) < count:  # noqa: ASYNC110  # it is another process
                await asyncio.sleep(0.01)


def finished(site: Site) -> collections.Counter[int]:
    """How often the work of each seed was done to its end."""
    records: list[dict[str, Any]] = [
        each for name in ("orchestrator-0", "orchestrator-1") for each in site.events(name)
    ]
    return collections.Counter(
        record["seed"]
        for record in records
        if record.get("event") == "request" and record.get("status") == "OK" and record.get("outcome") != "replayed"
    )


@pytest.mark.promise("campaign")
@pytest.mark.timeout(240)
async def test_a_campaign_outlives_orchestrators_and_its_own_process(quick_repository: Path, tmp_path: Path) -> None:
    async with Site(Plan(quick_repository, tmp_path, 1, 2, stand_ins=True)) as site, site.restarting():
        campaign = Campaign(tmp_path, site.endpoints)
        async with campaign.running():
            await campaign.until_made(2)
            site.signal("orchestrator-0", signal.SIGKILL)
            await campaign.until_made(6)
        assert len(campaign.made) < JOBS, "the process was killed before it was done"
        async with campaign.running() as again, asyncio.timeout(2 * WAIT_S):
            await campaign.until_made(9)
            site.signal("orchestrator-1", signal.SIGKILL)
            _, told = await again.communicate()
        assert again.returncode == 0, told.decode()
        counts = finished(site)
    assert len(campaign.made) == JOBS
    assert all((campaign.results / name / "1.png").stat().st_size for name in campaign.made)
    assert max(counts.values()) == 1
