"""The errors of the local cluster: a service that cannot start, and one that dies too often."""

from __future__ import annotations


class StartError(Exception):
    """A service could not be started; the message says which, why, and where to look."""


class DiedTooOftenError(Exception):
    """A service was started again several times in a row and died each time; the message names it and its log."""
