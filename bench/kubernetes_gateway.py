"""Marks of the gateway: nginx with the shipped timeouts before two orchestrators that run as processes."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from bench.figures import Figure, at_most
from tests.k8s.gateway import trials
from tests.k8s.gateway.timeouts import gateways, source

_COMMAND = "python -m bench.kubernetes gateway"
_SILENT_S = 63.0


def gateway() -> list[Figure]:
    """A stream of more than a minute, and requests that are lost when orchestrators stop under a steady load."""
    return asyncio.run(_gateway())


async def _gateway() -> list[Figure]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shipped = source(gateways(folder / "site"))
        (stream,) = await trials.silent(folder, [shipped], _SILENT_S)
        cut = 1 if stream.problem else 0
        tallies = {}
        for announced in (True, False):
            place = folder / str(announced)
            place.mkdir()
            tallies[announced] = await trials.ends(place, shipped, announced=announced)
    lost = [problem for tally in tallies.values() for problem in tally.failed]
    silent = Figure(
        f"behind a gateway: streams of {_SILENT_S:g} s, silent all the time, that are cut", cut,
        at_most(0, stream.problem), _COMMAND,
        f"{stream.seconds:.1f} s through nginx; the shipped timeouts allow {shipped.silence_s} s of silence",
    )  # fmt: skip
    drained = Figure(
        "behind a gateway: requests lost when orchestrators get SIGTERM under a steady load", len(lost),
        at_most(0, "; ".join(map(str, lost[:2]))), _COMMAND,
        f"{tallies[True].made} requests without retries, where the gateway hears of it during preStop; "
        f"{tallies[False].made} with those of the SDK, where it does not; {trials.ENDS} stops each",
    )  # fmt: skip
    return [silent, drained]
