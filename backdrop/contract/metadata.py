"""What a call says outside its message, in gRPC's metadata. Light: the SDK imports it."""

from __future__ import annotations

from collections.abc import Iterable

RETRY_KEY = "backdrop-retry"
"""Of a call that was tried before with the same idempotency key; the SDK sets it."""
LONGEST_KEY = "backdrop-max-message-bytes"
"""The largest message that the caller takes; the SDK sets it."""
Metadata = Iterable[tuple[str, str | bytes]] | None


def is_retry(metadata: Metadata) -> bool:
    """Whether a call says that it was tried before."""
    return any(key == RETRY_KEY for key, _ in metadata or ())


def longest_message(metadata: Metadata) -> int | None:
    """The bytes of the largest message that the caller takes; None if the call does not say it."""
    text = next((value for key, value in metadata or () if key == LONGEST_KEY), "")
    return int(text) if text.isdigit() else None
