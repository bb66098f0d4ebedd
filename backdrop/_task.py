"""The base of the tasks."""

from __future__ import annotations

import dataclasses
from typing import ClassVar


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """Base of the tasks; `Client.generate` takes one of them as its first argument."""

    name: ClassVar[str] = ""
    """The field of the oneof `GenerateRequest.task`."""
