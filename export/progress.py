"""How an export reports what it does now; the command line shows it."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, str], None]
"""Called with a model's name and what happens to the model now."""
