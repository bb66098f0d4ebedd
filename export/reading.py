"""Reading the JSON files of a pipeline folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from export.errors import BadFolderError


def parse_json(text: str | bytes) -> Any:
    """Parses JSON.

    Raises:
        ValueError: if it is none.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def has_file(path: Path) -> bool:
    """Whether a folder has a file that it may lack.

    Raises:
        BadFolderError: if it has something else of that name, such as a link of a hub's cache that leads nowhere.
    """
    if path.is_file():
        return True
    if os.path.lexists(path):
        what = "a link that leads to no file" if path.is_symlink() else "no file"
        raise BadFolderError(f"{path.parent.name}/{path.name} is {what}.")
    return False


def expect_path(path: Path) -> None:
    """Refuses what cannot be looked at, such as a path that is too long; the file need not exist.

    Raises:
        BadFolderError: saying why.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) else error
        raise BadFolderError(f"{str(path)[:60]!r} cannot be read: {what}.") from error


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        BadFolderError: if the file is missing, not JSON, or not an object.
    """
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadFolderError(f"{path.parent.name}/{path.name} is missing.") from error
    except (OSError, ValueError) as error:
        raise BadFolderError(f"{path.parent.name}/{path.name} is not readable JSON.") from error
    if not isinstance(content, dict):
        raise BadFolderError(f"{path.parent.name}/{path.name} is not a JSON object.")
    return content
