"""Keys: a digest of everything that the value depends on."""

from __future__ import annotations

import hashlib


def key(kind: str, fingerprint: str, *parts: bytes) -> str:
    """Returns the key of what the model with `fingerprint` makes of `parts`.

    Args:
        kind: what is cached, such as "text_l"; stays readable in the key.
        fingerprint: digest of the component that computes it: new weights never meet old values.
        parts: the inputs. Each is hashed with its length, so ("ab", "c") and ("a", "bc") differ.
    """
    digest = hashlib.sha256()
    for part in (kind.encode(), fingerprint.encode(), *parts):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return f"{kind}:{digest.hexdigest()}"
