"""The errors of an export: each is one sentence that says what is wrong and, where it can, what to do next."""

from __future__ import annotations


class ExportError(Exception):
    """The export cannot go on; the message is meant for the person who started it."""


class BadFolderError(ExportError):
    """The pipeline folder is not what it should be: something is missing, of another class, or unreadable."""


class ParityError(ExportError):
    """An exported graph does not compute what the torch module computes."""
