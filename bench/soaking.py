"""A soak: hours of mixed tasks, cancels, dead clients and rolling restarts, and what grows meanwhile."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import os
import random
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

import backdrop
from backdrop import Options
from bench.figures import Figure, at_most, reported
from tests.faults.proxy import Proxy
from tests.faults.site import Site
from tests.pictures import ellipse_mask, encoded, noisy_photo

SETTINGS = {"BACKDROP_CACHE_MEMORY_BYTES": str(16 << 20)}
"""A cache that is full before the warm-up is over: until then memory grows, as it should."""
_CALLERS = 3
_SAMPLES = 60
_BLOCKS = 12
"""Means of so many stretches are fitted: neighbouring samples depend on each other, long stretches hardly."""
_WARM_SHARE = 0.2
_LEAVE_SHARE, _DEATH_SHARE = 0.15, 0.03
_REGIONS = Path("/dev/shm")  # noqa: S108  # the kernel's place for shared memory
_TRANSIENT = (backdrop.UnavailableError, backdrop.OverloadedError)
# Two-sided 95 % quantiles of Student's t by degrees of freedom, for up to `_BLOCKS` blocks.
_T = (0.0, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


@dataclasses.dataclass(frozen=True)
class Slope:
    """Growth an hour, and half of its 95 % confidence interval."""

    an_hour: float
    half_width: float

    def __str__(self) -> str:
        return f"{self.an_hour:+.3g} ± {self.half_width:.2g} an hour"


@dataclasses.dataclass
class SoakReport:
    """What a soak showed: by quantity, (seconds, value) samples; and what became of the requests."""

    seconds: float
    samples: dict[str, list[tuple[float, float]]]
    pictures: collections.Counter[str]
    left: int
    failed: list[str]
    restarts: int


def slope(samples: Sequence[tuple[float, float]]) -> Slope:
    """Least squares over the means of equal stretches; the first fifth, in which caches fill, is left out.

    Raises:
        ValueError: there are fewer samples than stretches.
    """
    steady = samples[int(len(samples) * _WARM_SHARE) :]
    if len(steady) < _BLOCKS:
        raise ValueError(f"{len(steady)} samples after the warm-up; {_BLOCKS} are needed")
    bounds = [len(steady) * block // _BLOCKS for block in range(_BLOCKS + 1)]
    blocks = [steady[bounds[block] : bounds[block + 1]] for block in range(_BLOCKS)]
    hours = [statistics.mean(at for at, _ in block) / 3600 for block in blocks]
    values = [statistics.mean(value for _, value in block) for block in blocks]
    fit = statistics.linear_regression(hours, values)
    residual = sum((value - fit.slope * at - fit.intercept) ** 2 for at, value in zip(hours, values, strict=True))
    mean = statistics.mean(hours)
    error = (residual / (_BLOCKS - 2) / sum((at - mean) ** 2 for at in hours)) ** 0.5
    return Slope(fit.slope, _T[_BLOCKS - 2] * error)


async def soak(site: Site, seconds: float) -> SoakReport:
    """Loads the site for `seconds`. The first orchestrator is measured and never restarted; all else is, in turn."""
    report = SoakReport(seconds, collections.defaultdict(list), collections.Counter(), 0, [], 0)
    over, proxies = time.monotonic() + seconds, [Proxy(int(each.rpartition(":")[2])) for each in site.endpoints]
    async with contextlib.AsyncExitStack() as stack:
        for proxy in proxies:
            await stack.enter_async_context(proxy)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        for number in range(_CALLERS):
            group.create_task(_caller(proxies[min(number, 1)], random.Random(number), over, report))  # noqa: S311
        group.create_task(_restarts(site, over, report))
        began = time.monotonic()
        while time.monotonic() < over:
            for name, value in (await _quantities(site)).items():
                report.samples[name].append((time.monotonic() - began, value))
            await asyncio.sleep(seconds / _SAMPLES)
    return report


async def _caller(proxy: Proxy, dice: random.Random, over: float, report: SoakReport) -> None:
    tasks = _tasks()
    client = backdrop.AsyncClient(proxy.endpoint)
    while time.monotonic() < over:
        name, task = dice.choice(tasks)
        options: Options = {"seed": dice.randrange(1 << 30), "steps": 4}
        if name != "erase":
            options["prompt"] = f"a beach {dice.random()}"
        generation = client.generate(task, **options)
        fate = dice.random()
        try:
            if fate < _LEAVE_SHARE + _DEATH_SHARE:
                async with asyncio.timeout(dice.uniform(0.0, 0.6)):
                    await generation
            else:
                await generation
            report.pictures[name] += 1
        except TimeoutError:
            report.left += 1
            if fate < _DEATH_SHARE:  # as the kernel does for a process that is killed
                proxy.reset()
        except _TRANSIENT:
            report.left += 1  # another caller's connection was reset, or the orchestrator is being restarted
            await asyncio.sleep(0.2)
        except backdrop.BackdropError as problem:
            report.failed.append(f"{name}: {problem.reason}: {problem}")
    await client.close()


def _tasks() -> list[tuple[str, Any]]:
    photo, mask = encoded(noisy_photo(96, 96)), encoded(ellipse_mask(96, 96))
    return [
        ("text-to-image", backdrop.TextToImage()),
        ("background", backdrop.Background(photo, mask)),
        ("fill", backdrop.Fill(photo, mask)),
        ("erase", backdrop.Erase(photo, mask)),
        ("expand", backdrop.Expand(photo, aspect_ratio=(4, 3))),
        ("vary", backdrop.Vary(photo)),
    ]


async def _restarts(site: Site, over: float, report: SoakReport) -> None:
    """Restarts everything but the first orchestrator, one after another, six times in all."""
    names = ["redis", *(f"triton-{index}" for index in range(site.plan.tritons)), "orchestrator-1"]
    pause_s = report.seconds / 8
    while time.monotonic() + 1.5 * pause_s < over:
        await asyncio.sleep(pause_s)
        await site.restart(names[report.restarts % len(names)])
        report.restarts += 1


async def _quantities(site: Site) -> dict[str, float]:
    child = site.child("orchestrator-0")
    regions = [name for name in os.listdir(_REGIONS) if name.startswith(child.service.shm_prefix or "-")]  # noqa: PTH208
    values = {
        "memory, MiB": _resident_mib(child.pid),
        "descriptors": float(len(os.listdir(f"/proc/{child.pid}/fd"))),  # noqa: PTH208  # names alone
        "event loop's tasks": await site.gauge("backdrop_event_loop_tasks"),
        "shared memory, MiB": sum((_REGIONS / name).stat().st_size for name in regions) / 2**20,
    }
    with contextlib.suppress(Exception):  # it is being restarted
        async with Redis.from_url(site.child("redis").service.endpoint) as redis:
            values["Redis keys"] = float(await redis.dbsize())
    return values


def _resident_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


def figures(report: SoakReport, command: str) -> list[Figure]:
    """The slope of each quantity. Memory may grow by 5 MiB an hour, or by what its interval leaves open."""
    said = f"{report.seconds / 60:.0f} minutes, {sum(report.pictures.values())} pictures, {report.left} left, "
    said += f"{report.restarts} restarts"
    slopes = {name: slope(samples) for name, samples in report.samples.items()}
    memory = slopes.pop("memory, MiB")
    # An interval that contains 0 shows no growth.
    grown = 0.0 if memory.an_hour - memory.half_width <= 0 else memory.an_hour
    mark = at_most(0, "; ".join(report.failed[:3]))
    return [
        Figure("soak: requests failed", len(report.failed), mark, command, said),
        Figure("soak: growth of memory, MiB an hour", round(grown, 2), at_most(5), command, f"{memory}; {said}"),
        *(
            Figure(f"soak: growth of {name} an hour", round(each.an_hour, 3), reported("lower"), command, str(each))
            for name, each in slopes.items()
        ),
    ]
