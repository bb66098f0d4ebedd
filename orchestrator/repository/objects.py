"""A model repository from an object store: pipeline.json first, then every file that it lists.

The store is any URL that `obstore` knows (s3, gs, az, https, file). Region, endpoint and credentials come from the
store's own variables, such as AWS_ENDPOINT_URL or AWS_WEB_IDENTITY_TOKEN_FILE. Callers check the files against their
digests.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

from orchestrator.repository import PIPELINES, RepositoryError
from orchestrator.repository.signed import SIGNATURE

_AT_ONCE = 8
_CHUNK = 8 << 20


def is_url(source: str) -> bool:
    """Whether a source is in an object store, and not a folder."""
    return "://" in source


def read_document(source: str) -> bytes:
    """The bytes of pipeline.json at a URL.

    Raises:
        RepositoryError: it cannot be read.
    """
    try:
        return b"".join(_chunks(_store(source), PIPELINES))
    except Exception as problem:  # every store has its own errors; their text says what is wrong
        raise RepositoryError(f"{source}/{PIPELINES}: {type(problem).__name__}: {problem}") from None


def read_signature(source: str) -> bytes | None:
    """The bytes of the signature of a pipeline.json at a URL; None if there is none.

    Raises:
        RepositoryError: it cannot be read.
    """
    from obstore.exceptions import NotFoundError, PermissionDeniedError

    try:
        return b"".join(_chunks(_store(source), SIGNATURE))
    # A bucket that may be read but not listed forbids what it does not have.
    except (FileNotFoundError, NotFoundError, PermissionDeniedError):
        return None
    except Exception as problem:  # as above
        raise RepositoryError(f"{source}/{SIGNATURE}: {type(problem).__name__}: {problem}") from None


def download(source: str, document: bytes, target: Path) -> None:
    """Fetches a repository into an empty folder.

    Raises:
        RepositoryError: a file cannot be read, or has a name that leads out of the folder.
    """
    names, store = list(_listed(source, document)), _store(source)

    def fetch(name: str) -> None:
        file = target / name
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with file.open("wb") as out:
                out.writelines(_chunks(store, name))
        except Exception as problem:  # as above
            raise RepositoryError(f"{source}/{name}: {type(problem).__name__}: {problem}") from None

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(fetch, names))
    (target / PIPELINES).write_bytes(document)


def _listed(source: str, document: bytes) -> Iterator[str]:
    try:
        models = json.loads(document)["models"]
        names = [f"{model}/{file}" for model, entry in models.items() for file in entry["files"]]
    except (ValueError, KeyError, TypeError) as problem:
        raise RepositoryError(f"{source}/{PIPELINES} is no list of models: {problem!r}") from None
    for name in names:
        path = PurePosixPath(name)
        # Write access to the store must not become write access to the rest of the volume.
        if path.is_absolute() or ".." in path.parts:
            raise RepositoryError(f"{source}/{PIPELINES} lists {name!r}, which is no file of a repository")
        yield name


def _store(source: str) -> Any:
    # Imported here, because only this needs it and every start would take longer.
    from obstore.store import from_url

    return from_url(source)


def _chunks(store: Any, name: str) -> Iterator[bytes]:
    import obstore

    for chunk in obstore.get(store, name).stream(min_chunk_size=_CHUNK):
        yield bytes(chunk)
