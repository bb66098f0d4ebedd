"""Memory that this process shares with a Triton on the same host: one region, and an allocator for arrays in it."""

from __future__ import annotations

import bisect
import contextlib
import enum
import fcntl
import mmap
import os
import secrets
from pathlib import Path

import numpy as np
import numpy.typing as npt

FOLDER = Path("/dev/shm")  # noqa: S108  # the kernel's place for it, not a temporary file
PREFIX = "backdrop_"
_KIND = "wire_"
# TensorRT and onnxruntime prefer tensors that begin at multiples of this.
_ALIGNMENT = 64
_LOOPBACK = ("localhost", "[::1]")


class Region:
    """A POSIX shared-memory file of fixed size, mapped for writing, with a first-fit allocator over it.

    The file is locked while the process lives, so an unlocked one may be removed (`sweep`). A process id in its name
    would not do: two containers that share the memory may have different process ids.

    Args:
        size: in bytes; reserved at once, because a full tmpfs kills a process that writes to a page it cannot supply.
        prefix: of the file's name, "backdrop_…"; the rest is random, so no other host has a region of that name.

    Raises:
        OSError: there is no shared memory here, or not enough.
    """

    def __init__(self, size: int, prefix: str = PREFIX) -> None:
        self.name = prefix + _KIND + secrets.token_hex(8)
        self.size = size
        self._path = FOLDER / self.name
        self._file = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.posix_fallocate(self._file, 0, size)
            self._memory = mmap.mmap(self._file, size)
        except OSError:
            self.close()
            raise
        self._gaps: list[tuple[int, int]] = [(0, size)]  # (offset, length), by offset, never adjacent
        self._taken: dict[int, int] = {}

    @property
    def key(self) -> str:
        """The name for `shm_open`."""
        return f"/{self.name}"

    @property
    def used(self) -> int:
        """Bytes in use."""
        return sum(self._taken.values())

    def place(self, array: npt.NDArray[np.generic]) -> int | None:
        """Copies an array's bytes in C order into the region; returns their offset, or None if there is no room."""
        length = -(-max(array.nbytes, 1) // _ALIGNMENT) * _ALIGNMENT
        for index, (offset, room) in enumerate(self._gaps):
            if room >= length:
                self._gaps[index : index + 1] = [(offset + length, room - length)] if room > length else []
                self._taken[offset] = length
                view = np.frombuffer(self._memory, array.dtype, array.size, offset)
                view.reshape(array.shape)[...] = array
                return offset
        return None

    def free(self, offset: int) -> None:
        """Frees what `place` took at an offset; KeyError if nothing is there."""
        length = self._taken.pop(offset)
        at = bisect.bisect(self._gaps, (offset,))
        if at < len(self._gaps) and self._gaps[at][0] == offset + length:
            length += self._gaps.pop(at)[1]
        if at and sum(self._gaps[at - 1]) == offset:
            before, room = self._gaps[at - 1]
            self._gaps[at - 1] = (before, room + length)
        else:
            self._gaps.insert(at, (offset, length))

    def close(self) -> None:
        """Removes the file; servers that have it open keep their mapping until they close it."""
        self._path.unlink(missing_ok=True)
        os.close(self._file)


class Sharing(enum.StrEnum):
    """Which servers share memory with us."""

    OFF = "off"
    AUTO = "auto"
    """Those at a loopback address."""
    ON = "on"
    """All: they are containers that mount the same memory as /dev/shm."""

    def covers(self, address: str) -> bool:
        """Whether a server at host:port is asked to open the region."""
        host = address.removeprefix("ipv4:").rpartition(":")[0]
        return self is Sharing.ON or (self is Sharing.AUTO and (host.startswith("127.") or host in _LOOPBACK))


def ours(name: str) -> bool:
    """Whether a region of that name belongs to an orchestrator."""
    return name.startswith(PREFIX) and _KIND in name


def abandoned(name: str) -> bool:
    """Whether the process that made the region of that name is gone, or the region itself."""
    try:
        file = os.open(FOLDER / name, os.O_RDWR)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(file)
    return True


def sweep() -> list[str]:
    """Removes the regions of processes that were killed; returns their names."""
    names = [path.name for path in FOLDER.glob(f"{PREFIX}*") if ours(path.name) and abandoned(path.name)]
    for name in names:
        with contextlib.suppress(OSError):
            (FOLDER / name).unlink()
    return names
