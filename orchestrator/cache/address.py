"""The address of the shared cache: which URLs are Redis, and which kinds of Redis are refused by name."""

from __future__ import annotations

from urllib.parse import urlsplit

from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError

_SCHEMES = ("redis", "rediss", "unix")
_NO_URL = "is no URL; write redis://:password@host:port, and the password's special characters percent-encoded"
_KINDS = {"sentinel": "Sentinel", "cluster": "a Redis Cluster"}


class UnservedRedisError(Exception):
    """Redis is of a kind that is not served."""


def check_url(url: str) -> str:
    """Returns the URL of one Redis server.

    Raises:
        ValueError: it is no such URL; the message says what to write.
    """
    scheme = url.partition(":")[0].lower()
    for word, kind in _KINDS.items():
        if word in scheme:
            raise ValueError(f"{kind} is not served; write redis://host:port of the primary, or of a proxy before it")
    if scheme not in _SCHEMES:
        raise ValueError("must begin with redis://, rediss:// or unix://")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        # urlsplit's own words quote the URL. A password with a `#`, `/` or `?` in it ends up in the port or path.
        raise ValueError(_NO_URL) from None
    if scheme == "unix" and not parts.path:
        raise ValueError("has no path; write unix:///path/of/the/socket")
    if scheme != "unix" and not host:
        raise ValueError("has no host; write redis://host:port, and a password's special characters percent-encoded")
    if scheme != "unix" and parts.path.strip("/") and not parts.path.strip("/").isdigit():
        raise ValueError("has a path that is no number; the path names the database, as in redis://host:port/0")
    _expect_options(url)
    return url


def _expect_options(url: str) -> None:
    """Refuses options that redis-py does not know, or whose values it does not take; connects to nothing."""
    # The options themselves stay out of the message: a password may be among them.
    try:
        ConnectionPool.from_url(url).make_connection()  # type: ignore[no-untyped-call]  # redis-py has no types here
    except (TypeError, ValueError, RedisError) as problem:
        raise ValueError(f"has options that Redis' client does not take: {problem}") from None
