"""Values of the environment that are none, for every setting of the orchestrator."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from orchestrator.assembly import redis_url
from orchestrator.repository import RepositoryError
from orchestrator.settings import Settings, faults
from tests.field.raw.cases import LONG_NUMBER, Case

TEXTS = (
    *(
        "",
        " ",
        "0",
        "-1",
        "1e999",
        "nan",
        "inf",
        "1.5",
        "1_000",
        "０",
        "true",
        "null",
        "None",
        "[]",
        "{}",
        "é",
        "\ud800",
    ),
    *("x" * 100_000, str(LONG_NUMBER), "a\nb", "a\0b", ",", ",,", ":", "::", "h", "h:", ":1", "h:0", "h:65536", "h:-1"),
    *(
        "[::1]",
        "[::1]:",
        "[zz]:1",
        "http://h:1",
        "dns:///",
        "dns:///h:1",
        "kubernetes:///",
        "kubernetes:///a.b:1",
        "unix:",
    ),
    *(
        "redis://",
        "redis://h:x",
        "redis://[::1",
        "redis://h/x",
        "redis://h?x=1",
        "redis://h?db=x",
        "rediss://h",
        "unix://",
    ),
    *("redis://:%zz@h", "redis://h:1,redis://h:2", "../..", "/dev/null", "/nowhere", "%s", "$HOME", "~"),
)


class RefusedError(Exception):
    """What the process says before it ends with status 1."""


def cases(folder: Path) -> Iterator[Case]:
    """Every setting with every text."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in Settings.model_fields:
        for text in TEXTS:
            yield Case(f"{name} {text[:20]!r}", partial(_read, **{name: text}), (RefusedError, RepositoryError))
    for name, data in {"empty": b"", "no UTF-8": b"\xff\xfe", "two lines": b"a\nb", "NUL": b"a\0b"}.items():
        file = folder / name
        file.write_bytes(data)
        yield _password(name, file)
    yield _password("a folder", folder)
    yield _password("nothing", folder / "nowhere")


def _password(name: str, file: Path) -> Case:
    call = partial(_read, redis_url="redis://h:1/0", redis_password_file=str(file))
    return Case(f"password file: {name}", call, (RefusedError, RepositoryError))


def _read(**values: str) -> None:
    try:
        settings = Settings(**{"triton_endpoints": "127.0.0.1:8001", "repository": "triton_repo", **values})  # type: ignore[arg-type]  # pydantic reads text
    except ValidationError as problem:
        raise RefusedError("; ".join(faults(problem))) from None
    redis_url(settings)
