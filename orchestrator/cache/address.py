"""The address of the shared cache: which URLs are Redis, and which kinds of Redis are refused by name."""

from __future__ import annotations

from urllib.parse import urlsplit

_SCHEMES = ("redis", "rediss", "unix")
_KINDS = {"sentinel": "Sentinel", "cluster": "a Redis Cluster"}


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
    if scheme == "unix":
        return url
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as problem:
        raise ValueError(f"is no URL: {problem}") from None
    if not host:
        raise ValueError("has no host; write redis://host:port")
    if parts.path.strip("/") and not parts.path.strip("/").isdigit():
        raise ValueError(f"has the database {parts.path.strip('/')!r}; a database is a number")
    return url
