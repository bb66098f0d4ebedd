"""The classes of requests, and their shares."""

from __future__ import annotations

import enum


class Priority(enum.IntEnum):
    """Classes of requests; the values are those of `backdrop.v1.Priority`."""

    INTERACTIVE = 1
    STANDARD = 2
    BULK = 3


WEIGHTS = {Priority.INTERACTIVE: 16.0, Priority.STANDARD: 4.0, Priority.BULK: 1.0}
"""Shares of the classes while each has work to do."""
