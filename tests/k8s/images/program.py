"""Runs a program; its failure is an error with the last lines of its output."""

from __future__ import annotations

import subprocess

_QUOTED_LINES = 12


class ProgramError(Exception):
    """A program failed; the message has its command and the end of its output."""


def run(*command: str) -> str:
    """What the program prints.

    Raises:
        ProgramError: its exit status is not 0.
    """
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        end = "\n".join((process.stdout + process.stderr).splitlines()[-_QUOTED_LINES:])
        raise ProgramError(f"{' '.join(command[:2])} ended with status {process.returncode}:\n{end}")
    return process.stdout
