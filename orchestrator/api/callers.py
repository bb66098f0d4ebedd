"""Who calls: the tenant that quotas and fair shares go by, from the caller's identity and never from the message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestrator.request import ANONYMOUS

_COMMON_NAME = "x509_common_name"


def tenant_of(auth_context: Mapping[str, Iterable[bytes]]) -> str:
    """The tenant by grpc's authentication context: the common name of a verified client certificate, if there is one.

    Without client certificates every caller is one tenant: fair shares are then between requests alone.
    """
    names = list(auth_context.get(_COMMON_NAME, ()))
    return names[0].decode("utf-8", "replace") if names else ANONYMOUS
