"""Who calls: the tenant that quotas and fair shares go by, from the caller's identity and never from the message."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

ANONYMOUS = "anonymous"
_COMMON_NAME = "x509_common_name"


@dataclasses.dataclass(frozen=True)
class Caller:
    """Whoever sent a request."""

    tenant: str = ANONYMOUS


NOBODY = Caller()


def caller_of(auth_context: Mapping[str, Iterable[bytes]]) -> Caller:
    """The caller by grpc's authentication context: the common name of a verified client certificate, if there is one.

    Without client certificates everybody is one tenant: fair shares are then between requests alone.
    """
    names = list(auth_context.get(_COMMON_NAME, ()))
    return Caller(names[0].decode("utf-8", "replace")) if names else NOBODY
