"""Writes a target's own seeds into a folder: `python -m tests.fuzz.seeding TARGET FOLDER`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.fuzz.registry import ALL

if __name__ == "__main__":
    for number, seed in enumerate(ALL[sys.argv[1]]().seeds):
        Path(sys.argv[2], f"seed-{number}").write_bytes(seed)
    os._exit(0)  # servers of the target have threads that would not end
