"""Signs a repository in minisign's format: its `pipeline.json`, which lists the digest of every file."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
import time
from pathlib import Path

import minisign

from export.errors import ExportError
from orchestrator import repository
from orchestrator.repository.signed import SIGNATURE, expect_listed


def add_signing(step: argparse.ArgumentParser) -> None:
    """What is signed, and with what."""
    step.add_argument("out", type=Path, metavar="FOLDER", help="the Triton repository")
    step.add_argument("--key", type=Path, required=True, metavar="FILE", help="a secret key of minisign")
    step.add_argument(
        "--comment", metavar="TEXT", help="the trusted comment, which is signed too (default: time and file)"
    )
    add_password(step)


def add_key(step: argparse.ArgumentParser) -> None:
    """Where a new key goes."""
    step.add_argument("file", type=Path, metavar="FILE", help="the secret key; the public key goes to FILE.pub")
    step.add_argument("--no-password", action="store_true", help="do not encrypt the secret key")
    add_password(step)


def add_password(step: argparse.ArgumentParser) -> None:
    """Where the password comes from. Not from an argument: other users of a machine see those."""
    step.add_argument("--password-file", type=Path, metavar="FILE", help="holds the password (default: ask for it)")


def sign(folder: Path, key: Path, comment: str | None, password: Path | None) -> str:
    """Signs a repository after every served file was compared with its digest; returns a sentence.

    Raises:
        ExportError: the repository has a fault, or the key cannot be used.
    """
    try:
        repository.load(folder, verify="digests")
        content = (folder / repository.PIPELINES).read_bytes()
        expect_listed(folder, json.loads(content))
    except repository.RepositoryError as problem:
        raise ExportError(f"{problem}.") from None
    comment = comment or f"timestamp:{int(time.time())}\tfile:{repository.PIPELINES}\thashed"
    try:
        with minisign.SecretKey.from_file(key) as secret:
            if secret.is_encrypted():
                secret.decrypt(_password(password, f"Password of {key}: "))
            signature, public = secret.sign(content, trusted_comment=comment), secret.get_public_key()
    except OSError as problem:
        raise ExportError(f"{key} cannot be read: {problem.strerror}.") from None
    except minisign.Error as problem:
        raise ExportError(f"{key} cannot sign: {problem}.") from None
    file = folder / SIGNATURE
    file.write_bytes(bytes(signature) + b"\n")
    return f"{file} is written; its public key is {public.to_base64().decode()}"


def make_key(file: Path, password: Path | None, *, encrypted: bool) -> str:
    """Makes a key pair; returns a sentence with the public key.

    Raises:
        ExportError: a file is there already, or cannot be written.
    """
    pair, public = minisign.KeyPair.generate(), file.with_name(f"{file.name}.pub")
    with pair.secret_key as secret:
        if encrypted:
            secret.encrypt(_new_password(password))
        try:
            with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as out:
                out.write(bytes(secret) + b"\n")
            with public.open("xb") as out:
                out.write(bytes(pair.public_key) + b"\n")
        except OSError as problem:
            raise ExportError(f"{problem.filename} cannot be written: {problem.strerror}.") from None
    return f"{file} signs; {public} is for BACKDROP_REPOSITORY_KEYS_FILE: {pair.public_key.to_base64().decode()}"


def _password(file: Path | None, prompt: str) -> str:
    if file is not None:
        try:
            return file.read_text().rstrip("\r\n")
        except (OSError, ValueError) as problem:
            raise ExportError(f"--password-file: {problem}.") from None
    if not sys.stdin.isatty():
        raise ExportError("The key has a password, and there is no terminal to ask for it; use --password-file.")
    return getpass.getpass(prompt)


def _new_password(file: Path | None) -> str:
    password = _password(file, "Password of the new key: ")
    if not password:
        raise ExportError("The password is empty; --no-password makes a key without one.")
    if file is None and getpass.getpass("The same again: ") != password:
        raise ExportError("The two passwords differ.")
    return password
