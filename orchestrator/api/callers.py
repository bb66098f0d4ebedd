"""What a call says outside its message: the tenant by the caller's certificate, and whether it was tried before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestrator.request import ANONYMOUS

RETRY_KEY = "backdrop-retry"
"""Metadata of a call that was tried before, with the same idempotency key; the SDK sets it."""
_COMMON_NAME = "x509_common_name"


def tenant_of(auth_context: Mapping[str, Iterable[bytes]]) -> str:
    """The tenant in gRPC's authentication context: the common name of a verified client certificate.

    Without client certificates all callers are one tenant.
    """
    names = list(auth_context.get(_COMMON_NAME, ()))
    return names[0].decode("utf-8", "replace") if names else ANONYMOUS


def is_retry(metadata: Iterable[tuple[str, str | bytes]] | None) -> bool:
    """Whether a call says that it was tried before."""
    return any(key == RETRY_KEY for key, _ in metadata or ())
