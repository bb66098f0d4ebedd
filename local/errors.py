"""The one error of the local cluster: something could not start, and why."""

from __future__ import annotations


class StartError(Exception):
    """A service could not be started; the message says which, why, and where to look."""
