"""Clients where they live: forks, gevent, proxies, silent links, event loops, and every kind of address."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest

import backdrop
from backdrop import AsyncClient, Client, InvalidRequestError, Reason, _channel
from backdrop.contract.finishing import check_fits, encode
from backdrop.contract.geometry import Size
from backdrop.contract.parts import OutputFormat
from backdrop.testing import FakeBackdrop
from orchestrator.settings import Settings
from tests.faults.proxy import Proxy, through_silence
from tests.patience import PATIENCE_S
from tests.pictures import ellipse_mask, encoded, noisy_photo

ROOT = Path(__file__).resolve().parents[2]
TASK = backdrop.Background(encoded(noisy_photo(64, 64)), encoded(ellipse_mask(64, 64)))
OPTIONS: dict[str, Any] = {"prompt": "on a table", "steps": 2, "seed": 1}


@pytest.fixture
def fake() -> Iterator[FakeBackdrop]:
    with FakeBackdrop() as fake:
        yield fake


def run(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A Python program in a process of its own, which must end soon."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip


# grpc issue 13464: a client made before fork() (gunicorn --preload, Celery) hangs in the child.
FORK = """
    import os, sys
    import backdrop
    client = backdrop.Client(sys.argv[1], retries=0)
    if sys.argv[2] == "used":
        assert client.ready()
    child = os.fork()
    if child == 0:
        try:
            print("pipelines", len(client.info().pipelines), flush=True)
        except backdrop.BackdropError as problem:
            print(problem.reason, problem, flush=True)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0
    print("parent", client.ready(), flush=True)
    client.close()
"""


@pytest.mark.row("fork")
def test_a_client_made_before_a_fork_works_in_the_child(fake: FakeBackdrop) -> None:
    done = run(FORK, fake.endpoint, "new")
    assert done.stdout.splitlines() == ["pipelines 3", "parent True"], done.stderr


@pytest.mark.row("fork")
def test_a_client_used_before_a_fork_says_at_once_what_to_do(fake: FakeBackdrop) -> None:
    done = run(FORK, fake.endpoint, "used")
    child, parent = done.stdout.splitlines()
    assert child.startswith("UNUSABLE_CLIENT")
    assert "make the first call after the fork" in child
    assert parent == "parent True", "the parent is not harmed"


# grpc issue 4629: under gevent's monkey patches the client hangs.
@pytest.mark.row("gevent")
def test_under_gevent_a_client_says_at_once_what_to_do() -> None:
    pytest.importorskip("gevent")
    done = run("""
        from gevent import monkey
        monkey.patch_all()
        import backdrop
        for make in (backdrop.Client, backdrop.AsyncClient):
            try:
                make("127.0.0.1:1")
            except backdrop.InvalidRequestError as problem:
                print(problem.reason, problem.message)
    """)
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stderr
    assert all(line.startswith("UNUSABLE_CLIENT gevent has patched") for line in lines)


@pytest.mark.row("gevent")
def test_under_gevent_without_patched_threads_a_client_works(fake: FakeBackdrop) -> None:
    pytest.importorskip("gevent")
    done = run(
        """
        import sys
        from gevent import monkey
        monkey.patch_all(thread=False, select=False, socket=False)
        import backdrop
        with backdrop.Client(sys.argv[1]) as client:
            print(client.ready())
        """,
        fake.endpoint,
    )
    assert done.stdout.split() == ["True"], done.stderr


# grpc issue 29718: with http_proxy set, calls to loopback and to the cluster go to the proxy.
READY = """
    import sys
    import backdrop
    with backdrop.Client(sys.argv[1], retries=0, proxy=sys.argv[2] == "yes") as client:
        print(client.ready(2.0))
"""


@pytest.mark.row("proxy")
def test_a_proxy_of_the_environment_is_used_only_when_it_is_wanted(fake: FakeBackdrop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        url = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        proxied = {"http_proxy": url, "https_proxy": url, "grpc_proxy": url, "no_proxy": "", "no_grpc_proxy": ""}
        assert run(READY, fake.endpoint, "no", **proxied).stdout.split() == ["True"]
        proxy.settimeout(10)
        asked: list[bytes] = []

        def answer() -> None:
            connection, _ = proxy.accept()
            asked.append(connection.recv(7))
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        assert run(READY, fake.endpoint, "yes", **proxied).stdout.split() == ["False"]
        thread.join()
        assert asked == [b"CONNECT"]


# bazel issue 11957: a link that silently drops packets is noticed only when the deadline has passed.
@pytest.mark.row("silent-link")
async def test_a_silent_link_is_noticed_and_the_retry_gets_the_same_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    short = {"grpc.keepalive_time_ms": 1000, "grpc.keepalive_timeout_ms": 500, "grpc.http2.ping_timeout_ms": 500}
    options = [(name, short.get(name, value)) for name, value in _channel._OPTIONS]
    monkeypatch.setattr(_channel, "_OPTIONS", options)
    await _over_a_silent_link(within_s=PATIENCE_S, steps=40)


@pytest.mark.row("silent-link")
@pytest.mark.full
async def test_a_silent_link_is_noticed_within_30_s() -> None:
    await _over_a_silent_link(within_s=PATIENCE_S, steps=100, step_s=0.2)


async def _over_a_silent_link(within_s: float, steps: int, step_s: float = 0.05) -> None:
    async with FakeBackdrop(step_delay_s=step_s) as fake, Proxy(int(fake.endpoint.rpartition(":")[2])) as proxy:
        async with AsyncClient(proxy.endpoint) as client:
            result, noticed_s = await through_silence(proxy, client.generate(TASK, **{**OPTIONS, "steps": steps}))
        assert 0 < noticed_s < within_s + step_s * steps, "the second attempt also waits for what is left of the first"
        assert proxy.connections >= 2
        assert len({request.idempotency_key for request in fake.requests}) == 1
        async with AsyncClient(fake.endpoint) as direct:
            assert (await direct.generate(TASK, **{**OPTIONS, "steps": steps})).best.data == result.best.data


@pytest.mark.row("silent-link")
async def test_pings_of_an_idle_client_are_permitted() -> None:
    """The server must allow what clients do: otherwise it closes their connections with "too many pings"."""
    options = dict(_channel._OPTIONS)
    permitted = ("grpc.http2.min_ping_interval_without_data_ms", 5_000)
    sources = [(ROOT / name).read_text() for name in ("orchestrator/api/server.py", "backdrop/testing.py")]
    assert all(f'"{permitted[0]}", 5_000' in source for source in sources)
    assert int(options["grpc.keepalive_time_ms"]) >= 2 * permitted[1]
    assert (int(options["grpc.keepalive_time_ms"]) + int(options["grpc.keepalive_timeout_ms"])) / 1000 < 30


@pytest.mark.full
async def test_a_long_quiet_call_survives_its_pings() -> None:
    async with FakeBackdrop(step_delay_s=45.0) as fake, AsyncClient(fake.endpoint, retries=0) as client:
        assert (await client.generate(TASK, **{**OPTIONS, "steps": 1})).pictures


# text-generation-inference issue 2018: all steps run, then the message is too large for the caller.
@pytest.mark.row("large-results")
async def test_pictures_that_may_not_fit_are_refused_before_the_work(fake: FakeBackdrop) -> None:
    async with AsyncClient(fake.endpoint, max_message_bytes=100_000) as client:
        with pytest.raises(backdrop.OverloadedError) as caught:
            await client.generate(TASK, **OPTIONS, output_size=(512, 512))
        assert (caught.value.reason, caught.value.retry_after_s) == (Reason.MESSAGE_TOO_LARGE, None)
        assert "max_message_bytes" in caught.value.message
        assert fake.steps_run == 0
        assert (await client.generate(TASK, **OPTIONS)).pictures


@pytest.mark.row("large-results")
def test_the_largest_picture_fits_into_a_message_of_the_defaults() -> None:
    largest, longest = Settings.model_fields["max_pixels"].default, 64 * 2**20
    for size in (Size(4000, largest // 4000), Size(largest // 4096, 4096)):
        check_fits(size, longest)
        noise = np.random.default_rng(0).integers(0, 256, (size.height // 8, size.width // 8, 3), np.uint8)
        data = encode(noise, OutputFormat.PNG)
        with pytest.raises(backdrop.OverloadedError):
            check_fits(Size(size.width // 8, size.height // 8), len(data))


# grpc issue 32480: one AsyncClient in two event loops raises a raw RuntimeError.
@pytest.mark.row("event-loops")
def test_one_client_in_two_event_loops(fake: FakeBackdrop) -> None:
    client = AsyncClient(fake.endpoint)

    async def picture() -> bytes:
        return (await client.generate(TASK, **OPTIONS)).best.data

    first = asyncio.run(picture())
    assert asyncio.run(picture()) == first, "one after the other"
    results: list[bytes] = []
    threads = [threading.Thread(target=lambda: results.append(asyncio.run(picture()))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [first, first], "at the same time"
    asyncio.run(client.close())


@pytest.mark.row("event-loops")
@pytest.mark.parametrize("timeout_s", [float("inf"), 1e12])
async def test_no_deadline_is_a_deadline_too(fake: FakeBackdrop, timeout_s: float) -> None:
    async with AsyncClient(fake.endpoint, timeout_s=timeout_s) as client:
        assert (await client.generate(TASK, **OPTIONS)).pictures
        assert (await client.generate(TASK, **OPTIONS, timeout_s=timeout_s)).pictures


@pytest.mark.row("event-loops")
@pytest.mark.parametrize("timeout_s", [float("nan"), 0, -1, float("-inf")])
async def test_times_that_are_none_are_refused_by_name(fake: FakeBackdrop, timeout_s: float) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        AsyncClient(fake.endpoint, timeout_s=timeout_s)
    assert caught.value.field == "timeout_s"
    async with AsyncClient(fake.endpoint) as client:
        with pytest.raises(InvalidRequestError) as caught:
            client.generate(TASK, **OPTIONS, timeout_s=timeout_s)
        assert caught.value.field == "timeout_s"


@pytest.mark.parametrize(
    ("endpoint", "fix"),
    [
        ("http://host:50061", "'host:50061'"),
        ("grpcs://host:50061/", "'host:50061'"),
        ("host", "host:port"),
        ("host:", "host:port"),
        (":50061", "host:port"),
        ("host:99999", "host:port"),
        ("::1:50061", "[::1]:50061"),
    ],
)
def test_addresses_that_are_none_are_refused_with_the_fix(endpoint: str, fix: str) -> None:
    for make in (AsyncClient, Client):
        with pytest.raises(InvalidRequestError) as caught:
            make(endpoint)
        assert (caught.value.reason, caught.value.field) == (Reason.UNUSABLE_CLIENT, "endpoint")
        assert fix in caught.value.message


class Server:
    """Answers GetInfo and nothing else; counts the calls."""

    def __init__(self, *options: tuple[str, int]) -> None:
        self.calls = 0
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0), *options])
        get_info = grpc.unary_unary_rpc_method_handler(self._answer)
        handler = grpc.method_handlers_generic_handler("backdrop.v1.InfoService", {"GetInfo": get_info})
        self._server.add_generic_rpc_handlers([handler])

    async def start(self, *addresses: str) -> int:
        """Listens; returns the first address's port."""
        ports = [self._server.add_insecure_port(address) for address in addresses]
        await self._server.start()
        return ports[0]

    async def stop(self) -> None:
        await self._server.stop(0)

    async def _answer(self, request: bytes, context: Any) -> bytes:
        self.calls += 1
        return b""


async def test_sockets_and_ipv6_are_addresses(tmp_path: Path) -> None:
    socket_file = f"unix:{tmp_path}/s"
    addresses = [socket_file]
    with socket.socket(socket.AF_INET6) if socket.has_ipv6 else socket.socket() as probe:
        try:
            probe.bind(("::1", 0))
            addresses.append(f"[::1]:{probe.getsockname()[1]}")
        except OSError:
            pass  # this machine has no IPv6
    server = Server()
    await server.start(*addresses)
    for address in addresses:
        async with AsyncClient(address, retries=0) as client:
            assert await client.ready()
    await server.stop()


@pytest.mark.row("scale-out")
async def test_many_addresses_of_a_name_get_calls_in_turn_and_the_rest_of_them_when_one_is_lost() -> None:
    first, second = Server(), Server()
    ports = [await server.start("127.0.0.1:0") for server in (first, second)]
    async with AsyncClient("ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)) as client:
        async with asyncio.timeout(PATIENCE_S):
            while not (first.calls and second.calls):
                await client.info()
                await asyncio.sleep(0.02)
        assert first.calls
        assert second.calls
        await first.stop()
        for _ in range(10):
            await client.info()
    await second.stop()


def test_workers_that_are_spawned_need_nothing_special(fake: FakeBackdrop) -> None:
    with Client(fake.endpoint) as client:
        assert client.ready()
        context = multiprocessing.get_context("spawn")
        with context.Pool(1) as pool:
            assert pool.apply(_is_ready, (fake.endpoint,))


def _is_ready(endpoint: str) -> bool:
    with Client(endpoint) as client:
        return client.ready()


ARGUMENTS: dict[str, list[Any]] = {
    "endpoint": [7, b"h:1", "h\0:1"],
    "timeout_s": ["1", None, [], float("nan"), 0],
    "max_message_bytes": ["1", None, 1.5, 0, 2**31, 2**63, float("nan"), float("inf")],
    "retries": ["1", None, 1.5, -1, float("nan")],
    "credentials": ["x", 7, {}],
}


@pytest.mark.row("event-loops")
@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in ARGUMENTS.items() for value in values])
def test_an_argument_of_another_type_is_refused_by_name(name: str, value: Any) -> None:
    arguments = {"endpoint": "127.0.0.1:1", name: value}
    for make in (AsyncClient, Client):
        with pytest.raises(InvalidRequestError) as caught:
            make(**arguments)
        assert caught.value.field == name


@pytest.mark.parametrize(
    "endpoint",
    [
        *("dns:", "dns:///", "dns:///h", "dns:////", "unix:", "unix:/nowhere", "unix-abstract:x", "xds:///x", "vsock:"),
        *("ipv4:", "ipv4:1.2.3", "ipv4:1.2.3.4:99999", "ipv6:zz", "[zz]:1", "h :1", "é:1", "x" * 70_000 + ":1"),
    ],
)
def test_a_target_that_leads_nowhere_is_an_error_of_ours(endpoint: str) -> None:
    try:
        with Client(endpoint, retries=0) as client:
            assert not client.ready(0.2)
            with pytest.raises(backdrop.BackdropError):
                client.wait_ready(0.1)
    except InvalidRequestError as refusal:
        if refusal.field != "endpoint":
            raise


@pytest.mark.row("event-loops")
async def test_closing_a_client_ends_its_generations_by_an_error_of_ours(fake: FakeBackdrop) -> None:
    client = AsyncClient(fake.endpoint)
    generation = client.generate(TASK, **{**OPTIONS, "steps": 50})
    await anext(generation)
    await client.close()
    with pytest.raises(backdrop.CancelledError, match="closed"):
        await generation
    for call in (client.info, client.ready, lambda: client.generate(TASK, **OPTIONS)):
        with pytest.raises(InvalidRequestError, match="closed"):
            await call()
    await client.close()


@pytest.mark.row("event-loops")
async def test_a_generation_that_two_tasks_await_is_an_error_of_ours(fake: FakeBackdrop) -> None:
    async with AsyncClient(fake.endpoint) as client:
        generation = client.generate(TASK, **{**OPTIONS, "steps": 20})
        first, second = await asyncio.gather(generation._wait(), generation._wait(), return_exceptions=True)
        assert isinstance(first, backdrop.Result)
        assert isinstance(second, InvalidRequestError)


@pytest.mark.row("event-loops")
def test_a_generation_that_was_begun_in_another_event_loop_is_an_error_of_ours(fake: FakeBackdrop) -> None:
    client = AsyncClient(fake.endpoint)
    generation = client.generate(TASK, **{**OPTIONS, "steps": 50})

    async def begin() -> None:
        await anext(generation)

    async def finish() -> None:
        await generation

    asyncio.run(begin())
    with pytest.raises(backdrop.BackdropError):
        asyncio.run(finish())
