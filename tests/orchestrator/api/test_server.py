"""Health says two things: that the process lives, and that it can be used."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from orchestrator.api.server import LIVE, Server
from orchestrator.api.service import Service
from orchestrator.assembly import redis_url
from orchestrator.repository import RepositoryError
from orchestrator.telemetry.metrics import Metrics
from tests.orchestrator.small import server_settings

Status = health_pb2.HealthCheckResponse


async def test_it_lives_before_it_is_ready_and_until_it_stops(tmp_path: Path) -> None:
    server = Server(server_settings(tmp_path), Service(Metrics()))
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        health = health_pb2_grpc.HealthStub(channel)

        async def says(name: str) -> int:
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
            return int(answer.status)

        assert (await says(LIVE), await says("")) == (Status.SERVING, Status.NOT_SERVING)
        await server.ready()
        assert (await says(LIVE), await says("")) == (Status.SERVING, Status.SERVING)
    await server.stop(None, 0)


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("redis://orchestrator@redis.backdrop:6379/0", "redis://orchestrator:a%2Fb%40c@redis.backdrop:6379/0"),
        ("rediss://redis:6379", "rediss://:a%2Fb%40c@redis:6379"),
        ("redis://u:old@[fd00::1]:6379/1", "redis://u:a%2Fb%40c@[fd00::1]:6379/1"),
        ("", ""),
    ],
)
def test_the_password_comes_from_its_file(tmp_path: Path, url: str, whole: str) -> None:
    file = tmp_path / "password"
    file.write_text("a/b@c\n")
    assert redis_url(server_settings(tmp_path, redis_url=url, redis_password_file=file)) == whole
    assert redis_url(server_settings(tmp_path, redis_url=url)) == url


def test_a_password_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    chosen = server_settings(tmp_path, redis_url="redis://redis:6379", redis_password_file=tmp_path / "none")
    with pytest.raises(RepositoryError, match="BACKDROP_REDIS_PASSWORD_FILE"):
        redis_url(chosen)
