"""The tenant of a call, which fair shares are counted for: from the caller's certificate, never from the message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestrator.request import ANONYMOUS

_COMMON_NAME = "x509_common_name"


def tenant_of(auth_context: Mapping[str, Iterable[bytes]]) -> str:
    """The tenant in gRPC's authentication context: the common name of a verified client certificate.

    Without client certificates all callers are one tenant.
    """
    names = list(auth_context.get(_COMMON_NAME, ()))
    return names[0].decode("utf-8", "replace") if names else ANONYMOUS
