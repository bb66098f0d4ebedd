"""Cache keys: digests of everything that a value depends on."""

from __future__ import annotations

import hashlib


def key(kind: str, fingerprint: str, *parts: bytes) -> str:
    """Returns the key of the output of a model for some inputs.

    Args:
        kind: the kind of value, such as "text_encoder_l"; stays readable in the key.
        fingerprint: of the model, so that values of other weights are never used.
        parts: the inputs. Each is hashed with its length, so ("ab", "c") and ("a", "bc") differ.
    """
    digest = hashlib.sha256()
    for part in (kind.encode(), fingerprint.encode(), *parts):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return f"{kind}:{digest.hexdigest()}"


def owner_of(tenant: str) -> str:
    """A tenant as a part of a key: a digest, since its name may hold any character."""
    return hashlib.sha256(tenant.encode()).hexdigest()[:32]
