"""The work behind `backdrop load`: requests at a steady rate, whatever the server answers, and how long they took."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import json
import random
import time
from collections.abc import Sequence

import numpy as np
import typer

from backdrop._cli.connection import Connection
from backdrop._cli.failures import OTHER, Refusal
from backdrop._cli.smoke import product_task
from backdrop._client import AsyncClient
from backdrop._info import Info
from backdrop._options import Options
from backdrop._task import Task
from backdrop.errors import BackdropError


@dataclasses.dataclass(frozen=True)
class Load:
    """What is sent.

    Attributes:
        rate: requests a second, at exponential distances, so that they also come in bursts.
        seconds: how long new ones are sent; the last ones are awaited.
        pipeline: its name; empty = the server's default.
        steps: of each request; None = the pipeline's.
        timeout_s: deadline of each request.
    """

    rate: float
    seconds: float
    pipeline: str
    steps: int | None
    timeout_s: float


@dataclasses.dataclass(frozen=True)
class Bounds:
    """What makes a load test fail; None = nothing does."""

    p95_s: float | None
    failed: float | None
    """Fraction of the requests, 0 to 1, that may be refused or fail."""


@dataclasses.dataclass(frozen=True)
class Report:
    """What came back: counts, the rate of pictures, and quantiles of the durations of successful requests.

    Quantiles are None if no request succeeded. `errors` counts the others by their reason.
    """

    sent: int
    succeeded: int
    per_second: float
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None
    errors: dict[str, int]

    @classmethod
    def of(cls, durations: Sequence[float], errors: collections.Counter[str], took_s: float) -> Report:
        """Of the durations of successful requests, in seconds."""
        shares = np.quantile(durations, (0.5, 0.95, 0.99), method="inverted_cdf") if durations else (None,) * 3
        p50, p95, p99 = (None if share is None else round(float(share), 3) for share in shares)
        succeeded = len(durations)
        rate = round(succeeded / took_s, 3)
        return cls(succeeded + errors.total(), succeeded, rate, p50, p95, p99, dict(errors))

    def faults(self, bounds: Bounds) -> list[str]:
        """The bounds that are exceeded, in sentences."""
        over = []
        if bounds.p95_s is not None and (self.p95_s is None or self.p95_s > bounds.p95_s):
            over.append(f"p95 is {self.p95_s} s, and may be {bounds.p95_s:g} s.")
        failed = 1 - self.succeeded / self.sent if self.sent else 1.0
        if bounds.failed is not None and failed > bounds.failed:
            over.append(f"{failed:.1%} of the requests got no picture, and {bounds.failed:.1%} may: {self.errors}.")
        return over


def run(connection: Connection, load: Load, bounds: Bounds, *, wait_s: float) -> None:
    """Prints the report as JSON.

    Raises:
        Refusal: a bound is exceeded.
        BackdropError: the server is not ready after `wait_s`.
    """
    report = asyncio.run(_send(connection, load, wait_s))
    typer.echo(json.dumps(dataclasses.asdict(report), indent=2))
    if over := report.faults(bounds):
        raise Refusal(" ".join(over), OTHER)


async def _send(connection: Connection, load: Load, wait_s: float) -> Report:
    durations: list[float] = []
    errors: collections.Counter[str] = collections.Counter()
    # Without retries: a refusal is a result here, and a retried request would hide it.
    client = AsyncClient(connection.endpoint, credentials=connection.credentials, timeout_s=load.timeout_s, retries=0)
    async with client:
        task, options = _request(await client.wait_ready(wait_s), load)

        async def one() -> None:
            began = time.monotonic()
            try:
                await client.generate(task, **options)
                durations.append(time.monotonic() - began)
            except BackdropError as error:
                errors[error.reason.name] += 1

        began, at = time.monotonic(), 0.0
        async with asyncio.TaskGroup() as group:
            while (at := at + random.expovariate(load.rate)) < load.seconds:
                await asyncio.sleep(began + at - time.monotonic())
                group.create_task(one())
        return Report.of(durations, errors, time.monotonic() - began)


def _request(info: Info, load: Load) -> tuple[Task, Options]:
    name = load.pipeline or info.default_pipeline
    pipeline = next((each for each in info.pipelines if each.name == name), None)
    if pipeline is None:
        raise Refusal(f"The server has no pipeline {name}; it has {', '.join(p.name for p in info.pipelines)}.", OTHER)
    options = Options(prompt="a beach at sunset", variants=1, pipeline=name)
    if load.steps is not None:
        options["steps"] = load.steps
    return product_task(pipeline), options
