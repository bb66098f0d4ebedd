"""What a walk needs of whatever runs a component: named arrays in, named arrays out."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]
Tensors = dict[str, Array]
"""A component's inputs or outputs by name, batch first."""


class Runner(Protocol):
    """Runs one component on a batch. It reads the inputs that the component has and ignores the others."""

    def __call__(self, inputs: Mapping[str, Array]) -> Tensors: ...


Opener = Callable[[str], AbstractContextManager[Runner]]
"""Opens the component of a role for as long as the walk needs it."""
Listener = Callable[[str, Mapping[str, Array]], None]
"""Called with the role and the inputs of each call."""


def no_listener(role: str, inputs: Mapping[str, Array]) -> None:
    """Records nothing."""


def resident(runners: Mapping[str, Runner]) -> Opener:
    """An opener of runners that stay in memory."""
    return lambda role: nullcontext(runners[role])


@contextmanager
def opened(load: Callable[[], Runner]) -> Iterator[Runner]:
    """Yields the runner that `load` returns; at the end its memory is freed for the next one."""
    held = [load()]
    try:
        yield held[0]
    finally:
        held.clear()
        gc.collect()
