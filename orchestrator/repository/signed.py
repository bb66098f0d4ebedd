"""Signed repositories: `pipeline.json` lists the digest of every file, and the minisign signature beside it is checked.

The format is minisign's (Ed25519 over the bytes or over their BLAKE2b, and over the trusted comment), read by
py-minisign. So a repository may be signed by `python -m export sign` or by the program minisign itself.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import minisign

from orchestrator.repository.spec import PIPELINES, RepositoryError

SIGNATURE = f"{PIPELINES}.minisig"
_COMMENT = b"untrusted comment:"
_HOW_TO_SIGN = "sign the repository with `python -m export sign FOLDER --key FILE`, or with minisign"


class PublicKeys:
    """The keys whose signatures are taken. Several, so that a new one is there before the old one is withdrawn."""

    def __init__(self, keys: Mapping[str, minisign.PublicKey], file: Path) -> None:
        self._keys, self._file = keys, file

    @classmethod
    def read(cls, file: Path) -> PublicKeys:
        """Reads a file with one or several public keys of minisign: its `.pub` files, one after another.

        Raises:
            RepositoryError: the file cannot be read, has a line that is no key, or has no key.
        """
        keys, number = dict[str, minisign.PublicKey](), 0
        try:
            for line in file.read_bytes().splitlines():
                number += 1
                if line.strip() and not line.startswith(_COMMENT):
                    key = minisign.PublicKey.from_base64(line.strip())
                    keys[_key_id(key.to_base64())] = key
        except OSError as problem:
            raise RepositoryError(f"{file} cannot be read: {problem.strerror}; it holds the public keys") from None
        except minisign.Error as problem:
            raise RepositoryError(f"{file}, line {number}: no public key of minisign: {problem}") from None
        if not keys:
            raise RepositoryError(f"{file} holds no public key; add the line of a .pub file of minisign (RW…)")
        return cls(keys, file)

    def expect_signed(self, document: bytes, signature: bytes | None, source: str) -> str:
        """Checks the signature of a pipeline.json; returns the key's number and the trusted comment, in words.

        Args:
            document: The bytes of pipeline.json.
            signature: The bytes of its signature; None if there is none.
            source: The folder or URL of both, for messages.

        Raises:
            RepositoryError: the signature is missing, is none, is of a key that is not taken, or does not match.
        """
        place = f"{source}/{SIGNATURE}"
        if signature is None:
            raise RepositoryError(f"{place} is not there, and {self._file} requires a signature; {_HOW_TO_SIGN}")
        try:
            claim = minisign.Signature.from_bytes(signature)
        except minisign.Error as problem:
            raise RepositoryError(f"{place} is no signature of minisign: {problem}; {_HOW_TO_SIGN}") from None
        name = _key_id(signature.splitlines()[1])
        key = self._keys.get(name)
        if key is None:
            raise RepositoryError(
                f"{place} is by the key {name}, and {self._file} has {', '.join(self._keys)}; add that public key if "
                "it is yours, or sign the repository again"
            )
        try:
            key.verify(document, claim)
        except minisign.Error:
            raise RepositoryError(
                f"{place} does not match: {PIPELINES} or the trusted comment was changed after the key {name} signed "
                "it; get both files from their source again, or sign the repository again"
            ) from None
        return f"signed by {name}: {claim.trusted_comment}"


def read_signature(path: Path) -> bytes | None:
    """The bytes of a repository's signature; None if it has none.

    Raises:
        RepositoryError: it cannot be read.
    """
    try:
        return (path / SIGNATURE).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise RepositoryError(f"{path / SIGNATURE} cannot be read: {problem.strerror}") from None


def expect_listed(path: Path, document: Mapping[str, Any]) -> None:
    """Checks that a repository has no folder or file that pipeline.json does not list.

    Triton loads every folder that it sees, so an unlisted one would be served unsigned. Files at the top are exempt:
    Triton does not read them.

    Raises:
        RepositoryError: there is one; the message names it.
    """
    listed = set(_listed(document))
    for folder, folders, names in os.walk(path):
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        top = folder == str(path)
        for name in sorted([*links, *(() if top else names)]):
            entry = Path(folder) / name
            if entry.relative_to(path).as_posix() not in listed:
                raise RepositoryError(
                    f"{entry} is not in the signed {PIPELINES}; remove it, or export and sign the repository again"
                )


def _listed(document: Mapping[str, Any]) -> Iterator[str]:
    for model, entry in document["models"].items():
        for version in (entry, *entry.get("previous", {}).values()):
            yield from (f"{model}/{name}" for name in version["files"])


def _key_id(encoded: bytes) -> str:
    """The number of a key or a signature in base64, as minisign prints it."""
    return f"{int.from_bytes(base64.b64decode(encoded)[2:10], 'little'):016X}"
