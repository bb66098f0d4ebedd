"""Runs commands of the command line on the sample pictures."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence

from backdrop._cli.failures import OVERLOADED, UNAVAILABLE
from bench.figures import ROOT
from bench.gallery.samples import FOLDER

_TIMEOUT_S = 900
_ATTEMPTS, _PAUSE_S = 8, 15.0


def words_of(command: str) -> list[str]:
    """The words of a shell command after the program's name."""
    return shlex.split(command.replace("\\\n", ""))[1:]


def run_command(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Runs a command in the folder of the samples, again while the cluster has too much to do."""
    command = [sys.executable, "-m", "backdrop", *words, "--timeout", str(_TIMEOUT_S)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for _ in range(_ATTEMPTS):
        process = subprocess.run(command, cwd=FOLDER, env=environment, capture_output=True, text=True, check=False)
        if process.returncode not in (UNAVAILABLE, OVERLOADED):
            break
        time.sleep(_PAUSE_S)
    return process
