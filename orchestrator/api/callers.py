"""The caller of a call, from what the connection proves, never from the message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestrator.identity.caller import ANONYMOUS, Caller

_COMMON_NAME = "x509_common_name"


def caller_of(auth_context: Mapping[str, Iterable[bytes]]) -> Caller:
    """The caller in gRPC's authentication context: the common name of a verified client certificate is its tenant.

    Without client certificates all callers are one tenant.
    """
    names = list(auth_context.get(_COMMON_NAME, ()))
    if not names:
        return Caller(ANONYMOUS, ANONYMOUS)
    name = names[0].decode("utf-8", "replace")
    return Caller(name, f"certificate:{name}")
