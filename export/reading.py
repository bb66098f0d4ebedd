"""Reading the JSON files of a pipeline folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from export.errors import BadFolderError


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        BadFolderError: if the file is missing, not JSON, or not an object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadFolderError(f"{path.parent.name}/{path.name} is missing.") from error
    except (OSError, ValueError) as error:
        raise BadFolderError(f"{path.parent.name}/{path.name} is not readable JSON.") from error
    if not isinstance(content, dict):
        raise BadFolderError(f"{path.parent.name}/{path.name} is not a JSON object.")
    return content
