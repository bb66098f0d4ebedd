"""Memory of the process: freed blocks go back to the system, and the garbage collector skips what stays."""

from __future__ import annotations

import asyncio
import ctypes
import functools
import gc
from collections.abc import Callable

# From glibc's malloc.h.
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_LARGE_BYTES = 256 << 10
_ARENAS = 2
_LOOK_EVERY_S = 2.0


@functools.cache
def _libc() -> ctypes.CDLL | None:
    """The C library, if it is one whose allocator can be told; musl's gives memory back by itself."""
    library = ctypes.CDLL(None)
    return library if hasattr(library, "malloc_trim") and hasattr(library, "mallopt") else None


def tune() -> None:
    """Maps every large block by itself, and bounds the number of arenas; to be called before threads start.

    By default glibc raises the threshold to the largest block that was freed, and then keeps pictures of megabytes in
    the arenas of the threads that decoded them.
    """
    if (library := _libc()) is not None:
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        library.mallopt(_M_ARENA_MAX, _ARENAS)


def settle() -> None:
    """Takes all objects of now out of the collections to come, which would otherwise stop a burst for 0.3 s."""
    gc.collect()
    gc.freeze()


def trim() -> None:
    """Gives free pages of every arena back to the system; takes milliseconds."""
    if (library := _libc()) is not None:
        library.malloc_trim(0)


async def trim_when_idle(used: Callable[[], float]) -> None:
    """Trims in the background, whenever `used`, which only grows, has stood still for a while after it grew."""
    trimmed = before = used()
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        now = used()
        if now == before != trimmed:
            await asyncio.to_thread(trim)
            trimmed = now
        before = now
