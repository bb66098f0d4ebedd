"""The shares of the classes of requests."""

from __future__ import annotations

from backdrop.contract.parts import Priority

WEIGHTS = {Priority.INTERACTIVE: 16.0, Priority.STANDARD: 4.0, Priority.BULK: 1.0}
"""Shares of the classes while each has work to do."""
