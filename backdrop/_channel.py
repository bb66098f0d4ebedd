"""Channels: one for each event loop, opened on first use, with options that find dead links and spread calls."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import sys
import weakref
from typing import TypeAlias

import grpc
import grpc.aio

from backdrop._credentials import Credentials, Stamp
from backdrop.errors import BackdropError, InvalidRequestError, Reason, error

_KEEPALIVE_S, _KEEPALIVE_TIMEOUT_S = 10, 8
_LONGEST_CALL_S = 3600.0
"""How long the calls of an earlier connection may go on."""
# A name may have several addresses: calls go to all of them in turn, and to those that remain when one is lost.
_SERVICE_CONFIG = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})
_OPTIONS: list[tuple[str, int | str]] = [
    # By default gRPC waits up to two minutes before it connects again after an outage, and 20 s for an answer.
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.min_reconnect_backoff_ms", 5_000),
    # A link that drops packets without a word is found within 18 s of silence. The server permits pings every 5 s.
    ("grpc.keepalive_time_ms", 1000 * _KEEPALIVE_S),
    ("grpc.keepalive_timeout_ms", 1000 * _KEEPALIVE_TIMEOUT_S),
    # gRPC's own pings, which measure bandwidth, take the place of keepalive's and would be waited for by a minute.
    ("grpc.http2.ping_timeout_ms", 1000 * _KEEPALIVE_TIMEOUT_S),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.service_config", _SERVICE_CONFIG),
    # When a server goes, its name is looked up again; by default at most every 30 s.
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
]
AnyCredentials: TypeAlias = grpc.ChannelCredentials | Credentials
_SCHEMES = ("dns:", "unix:", "unix-abstract:", "vsock:", "ipv4:", "ipv6:", "xds:")


@dataclasses.dataclass(frozen=True)
class _Connection:
    channel: grpc.aio.Channel
    stamp: Stamp
    """Of the files that it was made from."""


class Channels:
    """The channels of one client.

    Args:
        endpoint: a target of gRPC.
        credentials: None for plain text and no token.
        max_message_bytes: largest message to send or to receive.
        proxy: whether `http_proxy` and `https_proxy` of the environment are used.

    Raises:
        InvalidRequestError: the endpoint is not one, or gevent has replaced threads.
    """

    def __init__(
        self, endpoint: str, credentials: AnyCredentials | None, max_message_bytes: int, *, proxy: bool
    ) -> None:
        check_environment()
        self.endpoint = check_endpoint(endpoint)
        if credentials is not None and not isinstance(credentials, grpc.ChannelCredentials | Credentials):
            message = f"credentials is a {type(credentials).__name__}; pass backdrop.Credentials(…)."
            raise _unusable(message, "credentials")
        self._fixed = credentials if isinstance(credentials, grpc.ChannelCredentials) else None
        self._credentials = credentials if isinstance(credentials, Credentials) else Credentials()
        self._credentials.check_endpoint(self.endpoint, proxy=proxy)
        self._closing: set[asyncio.Task[None]] = set()
        self._options = [
            ("grpc.max_send_message_length", max_message_bytes),
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.enable_http_proxy", int(bool(proxy))),
            *_OPTIONS,
        ]
        self._open: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Connection] = weakref.WeakKeyDictionary()

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The token of the next call, as metadata; InvalidRequestError if its file cannot be read."""
        return self._credentials.metadata()

    def current(self) -> grpc.aio.Channel:
        """The channel of the event loop that runs now; a new one when the certificates' files have changed.

        Raises:
            InvalidRequestError: the process was forked from one in which gRPC already ran, or a file is not usable.
        """
        loop = asyncio.get_running_loop()
        connection = self._open.get(loop)
        if connection is None:
            _begin()
            connection = self._open[loop] = self._new()
        else:
            # A file that is being replaced must not stop calls: the earlier connection still works.
            with contextlib.suppress(InvalidRequestError):
                if self._credentials.stamp() != connection.stamp:
                    earlier, connection = connection, self._new()
                    self._open[loop] = connection
                    self._retire(earlier.channel)
        return connection.channel

    async def close(self) -> None:
        """Closes the channel of this event loop, and forgets those of others: a loop closes its own connections."""
        connection = self._open.pop(asyncio.get_running_loop(), None)
        self._open.clear()
        if connection is not None:
            await connection.channel.close(None)

    def _retire(self, channel: grpc.aio.Channel) -> None:
        """Lets a channel's calls end, then closes it: one that is only forgotten would go on connecting."""
        task = asyncio.create_task(channel.close(_LONGEST_CALL_S))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _new(self) -> _Connection:
        stamp = self._credentials.stamp()
        credentials = self._fixed or self._credentials.channel_credentials()
        if credentials is None:
            return _Connection(grpc.aio.insecure_channel(self.endpoint, self._options), stamp)
        return _Connection(grpc.aio.secure_channel(self.endpoint, credentials, self._options), stamp)


def check_endpoint(endpoint: str) -> str:
    """Returns the endpoint; InvalidRequestError says what is wrong with it."""
    if not isinstance(endpoint, str) or "\0" in endpoint:
        raise _unusable(f"endpoint is {endpoint!r:.40}; write host:port, such as 127.0.0.1:50061.", "endpoint")
    if endpoint.startswith(_SCHEMES):
        return endpoint
    if "://" in endpoint:
        bare = endpoint.partition("://")[2].strip("/")
        raise _unusable(f"endpoint is {endpoint!r}; write {bare!r}, and pass `credentials` for TLS.", "endpoint")
    host, _, port = endpoint.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise _unusable(f"endpoint is {endpoint!r}; write host:port, such as 127.0.0.1:50061.", "endpoint")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise _unusable(f"endpoint is {endpoint!r}; write an IPv6 address in brackets: [{host}]:{port}.", "endpoint")
    return endpoint


def check_environment() -> None:
    """Raises InvalidRequestError where gevent has replaced the threads that gRPC's asyncio side needs."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("threading"):
        message = (
            "gevent has patched `threading`, and a Backdrop client needs real threads; use "
            "`monkey.patch_all(thread=False, select=False, socket=False)`, or call Backdrop in a process of its own."
        )
        raise _unusable(message)


_process = 0
"""The process in which the first channel was opened; 0 before that."""


def _begin() -> None:
    """Notes that gRPC runs in this process; its threads do not survive a fork."""
    global _process
    if _process not in (0, os.getpid()):
        message = (
            f"process {os.getpid()} was forked from {_process} after Backdrop had opened a connection there, and gRPC "
            "does not survive that; make the first call after the fork, or start workers by `spawn`."
        )
        raise _unusable(message)
    _process = os.getpid()


def _unusable(message: str, field: str = "") -> BackdropError:
    return error(Reason.UNUSABLE_CLIENT, message, field=field)
