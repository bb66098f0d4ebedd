"""Where pip takes packages from on this machine, as a configuration for the builds of images."""

from __future__ import annotations

import ast
import ssl
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

_INDEXES = ("index-url", "extra-index-url", "find-links", "no-index")
_CONNECTIONS = ("cert", "client-cert", "proxy", "timeout", "trusted-host")
SOURCES = frozenset({*_INDEXES, *_CONNECTIONS})
"""Settings that say where packages come from. Others, such as constraints, would change what is installed."""


def listed() -> str:
    """What `pip config list` prints here: files and variables together."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def settings(text: str) -> dict[str, str]:
    """The settings of `SOURCES` in pip's list; a variable wins over a file, as in pip."""
    rows = [line.partition("=") for line in text.splitlines()]
    # Variables stand first in the list and win, so they are read last.
    ordered = sorted(rows, key=lambda row: row[0].startswith(":env:"))
    values = {key.rpartition(".")[2]: str(ast.literal_eval(value)) for key, _, value in ordered if value}
    return {key: value for key, value in values.items() if key in SOURCES}


def write(folder: Path) -> list[tuple[Path, str]]:
    """Writes pip's configuration for a build; returns what the build mounts read-only, as (here, in the container).

    It is mounted and never copied: an index may have a password in its address.
    """
    chosen = settings(listed())
    # An older pip than this one knows no certificates of the system.
    authorities = chosen.get("cert") or ssl.get_default_verify_paths().cafile
    if authorities:
        chosen["cert"] = authorities
    file = folder / "pip.conf"
    file.write_text("[global]\n" + "".join(f"{key} = {' '.join(value.split())}\n" for key, value in chosen.items()))
    return [(file, "/etc/pip.conf"), *((path, str(path)) for path in local_paths(chosen.values()))]


def local_paths(values: Iterable[str]) -> list[Path]:
    """Files and folders of this machine that settings name; a container sees them at the same paths."""
    paths = set()
    for word in " ".join(values).split():
        if word.startswith("file://"):
            # The pages of an index link to files next to its folder.
            paths.add(Path(word.removeprefix("file://").rstrip("/")).parent)
        elif word.startswith("/"):
            paths.add(Path(word))
    return sorted(path for path in paths if path.exists())
