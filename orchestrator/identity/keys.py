"""Keys that callers send as bearer tokens: a file with their SHA-256, and the command that makes a new key.

usage: python -m orchestrator.identity.keys NAME --tenant TENANT --scope SCOPE [--scope SCOPE …] [--days N]

Prints the key, which is stored nowhere, and the entry for the list `keys` of the file. A key has 256 random bits, so a
fast hash is enough: nobody can try them all (NIST SP 800-63B, look-up secrets).
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import hmac
import re
import secrets
import sys
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

from backdrop.contract.access import SCOPES, check_scope, expired_credentials, unknown_credentials
from orchestrator.identity.caller import Caller, check_tenant

_KEY = re.compile(r"bdk_(?P<name>[a-z0-9][a-z0-9-]{0,62})\.[A-Za-z0-9_-]{43}")
_NO_HASH = "0" * 64


class Key(BaseModel):
    """One entry of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    tenant: str
    scopes: tuple[str, ...]
    expires: AwareDatetime | None = None

    @field_validator("tenant")
    @classmethod
    def _is_tenant(cls, value: str) -> str:
        return check_tenant(value)

    @field_validator("scopes")
    @classmethod
    def _are_scopes(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_scope(value) for value in values)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: list[Key]


class KeyFile:
    """The keys of a file."""

    def __init__(self, keys: list[Key]) -> None:
        self._keys = {key.name: key for key in keys}
        if len(self._keys) < len(keys):
            raise ValueError("two keys have the same name")

    @classmethod
    def read(cls, path: Path) -> KeyFile:
        """Reads the file; raises OSError or ValueError."""
        try:
            return cls(_File.model_validate_json(path.read_bytes()).keys)
        except ValidationError as problem:
            raise ValueError(described(problem)) from None

    def has(self, token: str) -> bool:
        """Whether the file has a key of the token's name."""
        match = _KEY.fullmatch(token)
        return match is not None and match["name"] in self._keys

    def caller(self, token: str, now: datetime.datetime) -> Caller:
        """The caller whose key this is. The name in a key finds its entry; its secret is compared in constant time.

        Raises:
            UnauthenticatedError: it is no key of the file, or has expired.
        """
        match = _KEY.fullmatch(token)
        key = self._keys.get(match["name"]) if match else None
        same = hmac.compare_digest(_hash(token), key.sha256 if key else _NO_HASH)
        if key is None or not same:
            raise unknown_credentials()
        if key.expires is not None and now >= key.expires:
            raise expired_credentials()
        return Caller(key.tenant, f"key:{key.name}", frozenset(key.scopes))


def is_key(token: str) -> bool:
    """Whether a token has the form of a key."""
    return token.startswith("bdk_")


def described(problem: ValidationError) -> str:
    """The faults of a file, each with its path; values are left out, because they may be secret."""
    texts = []
    for fault in problem.errors():
        path = ".".join(map(str, fault["loc"]))
        texts.append(f"{path}: {fault['msg'].removeprefix('Value error, ')}".removeprefix(": "))
    return "; ".join(texts)


def new_key(name: str, tenant: str, scopes: tuple[str, ...], expires: datetime.datetime | None) -> tuple[str, Key]:
    """A new key, and its entry in the file."""
    token = f"bdk_{name}.{secrets.token_urlsafe(32)}"
    return token, Key(name=name, sha256=_hash(token), tenant=tenant, scopes=scopes, expires=expires)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def main() -> int:
    """Prints a new key and its entry."""
    parser = argparse.ArgumentParser(prog="python -m orchestrator.identity.keys", description="Makes a key.")
    parser.add_argument("name", help="lower-case letters, digits and hyphens; it is part of the key, and in records")
    parser.add_argument("--tenant", required=True, help="whom the key's work is counted for")
    parser.add_argument("--scope", action="append", required=True, help=f"{', '.join(SCOPES)} or generate:PIPELINE")
    parser.add_argument("--days", type=float, help="days until it expires; without it, it never does")
    arguments = parser.parse_args()
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    expires = now + datetime.timedelta(days=arguments.days) if arguments.days else None
    try:
        token, key = new_key(arguments.name, arguments.tenant, tuple(arguments.scope), expires)
    except ValidationError as problem:
        parser.error(described(problem))
    sys.stderr.write("The key, for the caller's token file; it is not stored:\n")
    sys.stdout.write(f"{token}\n")
    sys.stderr.write(f"Its entry for the server's file, in the list `keys`:\n{key.model_dump_json()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
