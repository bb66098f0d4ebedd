"""What a call says outside its message, in gRPC's metadata. Light: the SDK imports it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from backdrop.contract.limits import MAX_KEY_CHARACTERS

RETRY_KEY = "backdrop-retry"
"""Of a call that was tried before with the same idempotency key; the SDK sets it."""
LONGEST_KEY = "backdrop-max-message-bytes"
"""The largest message that the caller takes; the SDK sets it."""
PRIORITY_KEY = "backdrop-priority"
"""The number of the message's `priority`; the SDK sets it.

A full server refuses a call that has it before the message is received. Such a call repeats its idempotency key below.
"""
IDEMPOTENCY_KEY = "backdrop-idempotency-key"
"""The message's `idempotency_key`, if it is not empty; the SDK sets it."""
VALID_IDEMPOTENCY_KEY = re.compile(rf"[\x20-\x7e]{{0,{MAX_KEY_CHARACTERS}}}")
_DIGITS = re.compile(r"[0-9]{1,18}")
Metadata = Iterable[tuple[str, str | bytes]] | None


def is_retry(metadata: Metadata) -> bool:
    """Whether a call says that it was tried before."""
    return any(key == RETRY_KEY for key, _ in metadata or ())


def longest_message(metadata: Metadata) -> int | None:
    """The bytes of the largest message that the caller takes; None if the call does not say it."""
    text = next((value for key, value in metadata or () if key == LONGEST_KEY), "")
    return _number(text)


def admission_metadata(priority: int, idempotency_key: str) -> Sequence[tuple[str, str]]:
    """What lets a full server refuse a call before its message is sent; empty if the key is not valid."""
    if not VALID_IDEMPOTENCY_KEY.fullmatch(idempotency_key):
        return ()
    pairs = ((PRIORITY_KEY, str(priority)), (IDEMPOTENCY_KEY, idempotency_key))
    return pairs if idempotency_key else pairs[:1]


def read_admission(metadata: Metadata) -> tuple[int, str, bool] | None:
    """Priority, idempotency key and whether the call was tried before; None if the call does not say its priority."""
    values = dict(metadata or ())
    number = _number(values.get(PRIORITY_KEY, ""))
    return None if number is None else (number, str(values.get(IDEMPOTENCY_KEY, "")), RETRY_KEY in values)


def _number(text: str | bytes) -> int | None:
    """A number of at most 18 digits; `int` raises for thousands of them, and for digits of other scripts' exponents."""
    return int(text) if _DIGITS.fullmatch(str(text)) else None
