"""Which configuration serves best here: a sweep of the denoiser's instances and threads, and of the rows that are out.

usage: python -m bench.performance.tune [--out FILE]        (a quarter of an hour on two idle cores)

Each point is a cluster of its own over a copy of the repository with other configs. It is measured by what pulls in two
directions: 16 requests at once, and one alone.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import hashlib
import itertools
import json
import re
import shutil
import statistics
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from bench.figures import ROOT, machine
from bench.performance.arms import Served
from bench.performance.figures import started
from bench.performance.rounds import together
from bench.performance.workload import orders

OUT = ROOT / "bench" / "results" / "tune.json"
REPOSITORY = ROOT / "triton_repo"
MODEL = "denoiser"
REPEATS = 3


@dataclasses.dataclass(frozen=True)
class Point:
    """One configuration."""

    instances: int
    threads: int
    rows: int
    """Rows that may be out at the replica."""


@dataclasses.dataclass(frozen=True)
class Measured:
    """What it does, in seconds: medians."""

    point: Point
    burst_s: float
    lonely_s: float


POINTS = [Point(*each) for each in itertools.product((1, 2), (1, 2), (2, 4, 8, 16))]


def with_config(point: Point, out: Path) -> Path:
    """A copy of the repository whose denoiser has this point's instances and threads."""
    shutil.copytree(REPOSITORY, out, copy_function=lambda src, dst: Path(dst).hardlink_to(src))
    config = out / MODEL / "config.pbtxt"
    text = config.read_text()
    text = re.sub(r"(instance_group \[ \{ kind: KIND_CPU count: )\d+", rf"\g<1>{point.instances}", text)
    text = re.sub(r'("intra_op_threads" value: \{ string_value: ")\d+', rf"\g<1>{point.threads}", text)
    config.unlink()  # a link to the repository's own
    config.write_text(text)
    pipelines = json.loads((out / "pipeline.json").read_text())
    digest = hashlib.sha256(text.encode()).hexdigest()
    pipelines["models"][MODEL]["files"]["config.pbtxt"] = f"sha256:{digest}"
    (out / "pipeline.json").unlink()
    (out / "pipeline.json").write_text(json.dumps(pipelines))
    return out


async def measure(point: Point) -> Measured:
    """Starts a cluster of this configuration and measures it."""
    with tempfile.TemporaryDirectory(dir=ROOT / ".backdrop") as folder:
        async with AsyncExitStack() as stack:
            arm = Served(repository=with_config(point, Path(folder) / "repository"), rows_per_replica=str(point.rows))
            await started(stack, [arm])
            await together(arm, orders(4, first=9000))
            bursts = [(await together(arm, orders(16, first=100 * n)))[0] for n in range(1, REPEATS + 1)]
            alone = [(await arm.make(order)).seconds for order in orders(3 * REPEATS, first=5000)]
    return Measured(point, round(statistics.median(bursts), 3), round(statistics.median(alone), 3))


def main() -> int:
    """Sweeps, writes the report, and says which point is best at both."""
    parser = argparse.ArgumentParser(prog="python -m bench.performance.tune", description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT, metavar="FILE")
    out: Path = parser.parse_args().out
    (ROOT / ".backdrop").mkdir(exist_ok=True)
    found = []
    for point in POINTS:
        found.append(asyncio.run(measure(point)))
        sys.stdout.write(f"{point}: 16 at once {found[-1].burst_s} s, one alone {found[-1].lonely_s} s\n")
        sys.stdout.flush()
    least = min(each.burst_s for each in found), min(each.lonely_s for each in found)
    best = min(found, key=lambda each: max(each.burst_s / least[0], each.lonely_s / least[1]))
    out.parent.mkdir(parents=True, exist_ok=True)
    report = {
        "machine": machine(),
        "points": [dataclasses.asdict(each) for each in found],
        "best": dataclasses.asdict(best),
    }
    out.write_text(json.dumps(report, indent=2) + "\n")
    sys.stdout.write(f"best at both: {best.point}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
