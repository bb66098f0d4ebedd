"""Probes as the kubelet runs them: one attempt within the timeout, which passes or fails."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

Run = Callable[[list[str]], Awaitable[int]]
"""Runs a command inside the container and returns its exit status."""


async def ask(probe: dict[str, Any], address: str, ports: dict[str, int], run: Run) -> bool:
    """Whether a probe passes."""
    timeout_s = probe.get("timeoutSeconds", 1)
    with contextlib.suppress(TimeoutError, OSError, grpc.RpcError):
        async with asyncio.timeout(timeout_s):
            if "grpc" in probe:
                return await _grpc(f"{address}:{probe['grpc']['port']}", probe["grpc"].get("service", ""), timeout_s)
            if "tcpSocket" in probe:
                port = probe["tcpSocket"]["port"]
                return await _tcp(address, ports.get(port, port))
            if "exec" in probe:
                return await run(probe["exec"]["command"]) == 0
            raise AssertionError(f"the replay knows no probe like {sorted(probe)}")
    return False


async def _grpc(endpoint: str, service: str, timeout_s: float) -> bool:
    async with grpc.aio.insecure_channel(endpoint, options=[("grpc.enable_http_proxy", 0)]) as channel:
        question = health_pb2.HealthCheckRequest(service=service)
        answer = await health_pb2_grpc.HealthStub(channel).Check(question, timeout=timeout_s)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def _tcp(address: str, port: int | str) -> bool:
    _, writer = await asyncio.open_connection(address, int(port))
    writer.close()
    return True


async def until(passes: Callable[[], Awaitable[bool]], probe: dict[str, Any]) -> bool:
    """Probes until one attempt passes or `failureThreshold` in a row fail; returns whether it passed."""
    await asyncio.sleep(probe.get("initialDelaySeconds", 0))
    for _ in range(probe.get("failureThreshold", 3)):
        if await passes():
            return True
        await asyncio.sleep(probe.get("periodSeconds", 10))
    return False
