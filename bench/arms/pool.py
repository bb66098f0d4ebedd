"""The arms of one run: each started at its first use, all of them stopped at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, Self

from bench.arms.base import Arm
from bench.arms.monolith import MonolithArm
from bench.arms.served import REPOSITORY, BackdropArm
from bench.arms.workers import WorkersArm
from bench.figures import ROOT
from bench.requests import requests

WEIGHTS = ROOT / "training" / "weights"
P = ParamSpec("P")
Start = Callable[[], Coroutine[Any, Any, Arm]]


def starting(arm: Callable[P, Arm], *arguments: P.args, **named: P.kwargs) -> Start:
    """A coroutine that starts an arm whose constructor blocks; nothing is measured meanwhile."""

    async def start() -> Arm:
        return arm(*arguments, **named)

    return start


async def _diffusers() -> Arm:
    return await WorkersArm.start("diffusers", "torch", WEIGHTS, workers=1, threads=2)


async def _inprocess() -> Arm:
    return await WorkersArm.start("inprocess", "onnxruntime", REPOSITORY, workers=1, threads=2)


async def _inprocess_twice() -> Arm:
    return await WorkersArm.start("inprocess×2", "onnxruntime", REPOSITORY, workers=2, threads=1)


ARMS: dict[str, Start] = {
    "diffusers": _diffusers,
    "inprocess": _inprocess,
    "inprocess×2": _inprocess_twice,
    "monolith": starting(MonolithArm),
    "backdrop": starting(BackdropArm),
}


class ArmPool:
    """Starts arms on demand and warms them up; a context manager that stops them."""

    def __init__(self) -> None:
        self._arms: dict[str, Arm] = {}

    async def get(self, name: str, start: Start | None = None) -> Arm:
        """The arm of that name, running and warm: two pictures that are not timed are done.

        Args:
            name: a key of `ARMS`, or a new name.
            start: what starts an arm that is not in `ARMS`.
        """
        if name not in self._arms:
            arm = self._arms[name] = await (start or ARMS[name])()
            await asyncio.gather(*map(arm.generate, requests("warm-up", 0).take(2, steps=2)))
        return self._arms[name]

    async def backdrop(self) -> BackdropArm:
        """The cluster's arm, with its client and endpoints."""
        arm = await self.get("backdrop")
        assert isinstance(arm, BackdropArm)
        return arm

    async def leave(self, name: str) -> None:
        """Stops an arm, if it runs."""
        arm = self._arms.pop(name, None)
        if arm is not None:
            await arm.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for name in list(self._arms):
            await self.leave(name)
