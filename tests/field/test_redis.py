"""Every answer that Redis gives in trouble: each costs no request, is told once, is counted, and is got over."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
import structlog
import yaml

from local.ports import free_ports
from orchestrator.cache import TwoTierCache, UnservedRedisError
from tests.field.resp import INFO, Answers, answering, bulk, usual
from tests.field.test_clusters import _compute, settings, started, until
from tests.k8s.rendering import K8S
from tests.orchestrator.cache.redis_process import running, until_stored


class Heard(collections.Counter[str]):
    """Counts what the metrics would count."""

    def on_lookup(self, outcome: str) -> None:
        self[outcome] += 1


@asynccontextmanager
async def cache_on(url: str, heard: Heard) -> AsyncIterator[TwoTierCache]:
    cache = TwoTierCache(url, memory_bytes=0, redis_timeout_ms=500, observer=heard)
    try:
        yield cache
    finally:
        await cache.close()


def told(lines: list[Any]) -> list[str]:
    return [line["why"] for line in lines if line["log_level"] in ("warning", "error")]


async def use(cache: TwoTierCache, times: int = 5) -> None:
    """Requests, which succeed whatever Redis says, and what they write."""
    for number in range(times):
        assert (await cache.get_or_compute(f"k{number}", _compute)).source == "computed"
        await until_stored(cache.results.put(f"b{number}", b"value", 60))
        assert await cache.results.get(f"b{number}") is None


OPENS = {
    "READONLY You can't write against a read only replica.": "SET",
    "MOVED 1234 127.0.0.1:6381": "GET",
    "ASK 1234 127.0.0.1:6381": "GET",
    "CLUSTERDOWN The cluster is down": "GET",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.": "GET",
    "LOADING Redis is loading the dataset in memory": "GET",
    "NOAUTH Authentication required.": "GET",
    "WRONGPASS invalid username-password pair or user is disabled.": "GET",
}
"""Answers by which Redis says that it is not to be used now, and the command that gets them."""
REFUSES = {
    "OOM command not allowed when used memory > 'maxmemory'.": "SET",
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.": "SET",
    "NOREPLICAS Not enough good replicas to write.": "SET",
    "NOPERM User backdrop has no permissions to run the 'get' command": "GET",
    "WRONGTYPE Operation against a key holding the wrong kind of value": "GET",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.": "GET",
    "ERR unknown command": "EXISTS",
}
"""Answers by which Redis refuses one command and serves others."""


@pytest.mark.row("redis-failover")
@pytest.mark.parametrize("answer", OPENS, ids=lambda answer: answer.split()[0])
async def test_an_answer_that_ends_its_use_is_told_once_and_got_over(answer: str) -> None:
    heard, bad = Heard(), OPENS[answer]
    async with answering() as server, cache_on(server.url, heard) as cache:
        await until(cache, True)
        # Redis is in trouble as a whole: neither pings nor probes that write succeed.
        server.to = lambda command: b"-%s\r\n" % answer.encode() if command in (bad, "PING", "SET") else usual(command)
        with structlog.testing.capture_logs() as lines:
            await use(cache)
            await until(cache, False)
            await asyncio.sleep(0.4)  # several probes
        assert len(told(lines)) == 1, told(lines)
        assert heard["breaker_opened"] == 1
        assert heard["redis_error"] >= 1
        before = server.connections
        server.to = usual
        await until(cache, True)
        if answer.split()[0] in ("READONLY", "MOVED", "ASK", "CLUSTERDOWN", "MASTERDOWN"):
            assert server.connections > before, "the name may lead to another server now"


@pytest.mark.row("redis-failover")
@pytest.mark.parametrize("answer", REFUSES, ids=lambda answer: answer.split()[0])
async def test_an_answer_that_refuses_one_command_is_told_once_and_counted_each_time(answer: str) -> None:
    heard, bad = Heard(), REFUSES[answer]
    async with answering() as server, cache_on(server.url, heard) as cache:
        await until(cache, True)
        server.to = lambda command: b"-%s\r\n" % answer.encode() if command == bad else usual(command)
        with structlog.testing.capture_logs() as lines:
            await use(cache)
        assert cache.redis_available
        assert len(told(lines)) == 1, told(lines)
        assert heard["redis_refused"] >= 5
        assert heard["breaker_opened"] == 0


STRANGERS: dict[str, Callable[[str], bytes | None]] = {
    "closes": lambda command: None,
    "speaks HTTP": lambda command: b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "sends noise": lambda command: bytes(range(128, 200)) + b"\r\n",
    "sends a huge length": lambda command: b"$999999999999\r\n",
    "sends a wrong length": lambda command: b"$x\r\n",
    "nests": lambda command: b"*1\r\n" * 5000 + b":1\r\n",
    "answers with numbers": lambda command: b":1\r\n",
    "answers with nothing": lambda command: b"*-1\r\n",
    "answers INFO with noise": lambda command: bulk(b"\xff\0:\xfe:") if command == "INFO" else usual(command),
}


@pytest.mark.row("redis-start")
@pytest.mark.parametrize("name", STRANGERS)
async def test_what_is_no_redis_costs_no_request(name: str) -> None:
    heard = Heard()
    with structlog.testing.capture_logs() as lines:
        async with answering(STRANGERS[name]) as server, cache_on(server.url, heard) as cache:
            await asyncio.sleep(0.3)
            assert (await cache.get_or_compute("k", _compute)).source == "computed"
            assert len(told(lines)) <= 1
            if not name.startswith("answers"):
                assert not cache.redis_available
        async with answering() as server, cache_on(server.url, heard) as cache:
            await until(cache, True)
            server.to = STRANGERS[name]
            for number in range(3):
                assert (await cache.get_or_compute(f"l{number}", _compute)).source == "computed"


@pytest.mark.row("redis-start")
@pytest.mark.parametrize("mode", ["cluster", "sentinel"])
async def test_a_kind_that_is_not_served_is_refused_at_the_start(mode: str) -> None:
    info = bulk(INFO.replace(b"standalone", mode.encode()))
    async with (
        answering(lambda command: info if command == "INFO" else usual(command)) as server,
        cache_on(server.url, Heard()) as cache,
    ):
        with pytest.raises(UnservedRedisError, match=f"BACKDROP_REDIS_URL: it runs in {mode} mode"):
            await cache.expect_served()
        assert not cache.redis_available


@pytest.mark.row("redis-start")
async def test_a_real_member_of_a_cluster_is_refused_at_the_start(tmp_path: Path) -> None:
    bus = str(free_ports(1)[0])
    with running("--cluster-enabled", "yes", "--cluster-port", bus, "--dir", str(tmp_path)) as member:
        async with cache_on(member.url, Heard()) as cache:
            with pytest.raises(UnservedRedisError, match="cluster mode"):
                await cache.expect_served()


@pytest.mark.row("redis-start")
async def test_a_real_sentinel_is_refused_at_the_start(tmp_path: Path) -> None:
    config = tmp_path / "sentinel.conf"
    config.write_text("")  # the Sentinel writes its own id into it
    with running("--sentinel", "--dir", str(tmp_path), config=config) as sentinel:
        async with cache_on(sentinel.url, Heard()) as cache:
            with pytest.raises(UnservedRedisError, match="sentinel mode"):
                await cache.expect_served()


@pytest.mark.row("redis-start")
async def test_the_process_ends_with_one_sentence_where_redis_is_a_sentinel() -> None:
    info = bulk(INFO.replace(b"standalone", b"sentinel"))
    async with answering(lambda command: info if command == "INFO" else usual(command)) as server:
        done = await asyncio.to_thread(started, BACKDROP_LISTEN="127.0.0.1:0", BACKDROP_REDIS_URL=server.url)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "BACKDROP_REDIS_URL: it runs in sentinel mode" in done.stdout + done.stderr


@pytest.mark.row("redis-start")
async def test_a_redis_that_becomes_a_member_of_a_cluster_is_told_with_that_reason_and_given_up() -> None:
    """It was down at the start, for which nothing is refused; what comes up in its place is told all the same."""
    async with answering(lambda command: None) as server:
        with structlog.testing.capture_logs() as lines:
            async with cache_on(server.url, Heard()) as cache:
                await cache.expect_served()
                info = bulk(INFO.replace(b"standalone", b"cluster"))
                server.to = lambda command: info if command == "INFO" else usual(command)
                await asyncio.sleep(1.5)
                assert not cache.redis_available
                with pytest.raises(UnservedRedisError):
                    await cache.expect_served()
    assert len(told(lines)) == 2
    assert "cluster mode" in told(lines)[1]


@pytest.mark.row("redis-failover")
async def test_a_full_memory_of_a_real_redis_is_told_once() -> None:
    heard = Heard()
    with running() as process, redis.Redis.from_url(process.url) as client:
        async with cache_on(process.url, heard) as cache:
            await until(cache, True)
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", 1)
            with structlog.testing.capture_logs() as lines:
                await use(cache)
            assert len(told(lines)) == 1
            assert heard["redis_refused"] >= 5
            client.config_set("maxmemory", 0)
            await until_stored(cache.results.put("k", b"value", 60))
            assert await cache.results.get("k") == b"value", "it is written to again without a restart"


@pytest.mark.row("redis-start")
async def test_a_password_that_changes_is_told_once_and_got_over() -> None:
    heard = Heard()
    with running() as process, redis.Redis.from_url(process.url) as client:
        async with cache_on(process.url, heard) as cache:
            await until(cache, True)
            client.config_set("requirepass", "secret")
            client.client_kill_filter(_type="normal", skipme=True)
            with structlog.testing.capture_logs() as lines:
                await use(cache, 2)
                await until(cache, False)
                await asyncio.sleep(0.4)
            assert len(told(lines)) == 1
            client.config_set("requirepass", "")
            await until(cache, True)


@pytest.mark.row("redis-failover")
def test_an_alert_fires_while_redis_refuses_commands() -> None:
    rules = yaml.safe_load((K8S / "components" / "monitoring" / "rules.yaml").read_text())["spec"]["groups"]
    alerts = {rule["alert"]: rule["expr"] for group in rules for rule in group["rules"] if "alert" in rule}
    assert 'outcome="redis_refused"' in alerts["BackdropCacheRefuses"]


OPTIONS = ("timeout=abc", "db=x", "x=1", "protocol=9", "max_connections=zz", "password=hush&x=1")


@pytest.mark.row("settings")
@pytest.mark.parametrize("option", OPTIONS)
def test_options_of_the_url_that_are_none_are_refused_without_their_values(option: str) -> None:
    with pytest.raises(ValueError, match="options that Redis' client does not take") as caught:
        settings(redis_url=f"redis://h:1?{option}")
    assert "hush" not in str(caught.value).partition("[type=")[0]


async def test_the_answerer_is_a_redis(tmp_path: Path) -> None:
    async with answering() as server, cache_on(server.url, Heard()) as cache:
        await until(cache, True)
        assert {"PING", "INFO"} <= set(server.commands)
    assert isinstance(server, Answers)
