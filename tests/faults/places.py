"""Full disks and jumping clocks: changes of how a service is started."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from local.supervisor import Service

_FAKETIME = "lib*/**/faketime/libfaketime.so.1"


def orchestrators(change: Callable[[Service], Service]) -> Callable[[Service], Service]:
    """Applies a change to orchestrators alone."""
    return lambda service: change(service) if service.name.startswith("orchestrator") else service


def full_log(service: Service) -> Service:
    """Its log is on a full disk: every write to it fails with ENOSPC."""
    return dataclasses.replace(service, command=("sh", "-c", 'exec "$@" >/dev/full 2>&1', "sh", *service.command))


def full_shared_memory(service: Service) -> Service:
    """It sees a /dev/shm of 64 KiB, which nobody else sees."""
    mount = 'mount -t tmpfs -o size=64k tmpfs /dev/shm && exec "$@"'
    return dataclasses.replace(service, command=("unshare", "-m", "sh", "-c", mount, "sh", *service.command))


def can_mount() -> bool:
    """Whether this process may make mounts of its own."""

    probe = ["unshare", "-m", "sh", "-c", "mount -t tmpfs -o size=64k tmpfs /dev/shm"]
    return (
        shutil.which("unshare") is not None and subprocess.run(probe, capture_output=True, check=False).returncode == 0
    )


def faketime() -> Path | None:
    """Debian's libfaketime, which changes the wall clock of a process; None where it is not installed."""
    return next(iter(Path("/usr").glob(_FAKETIME)), None)


class Clock:
    """A wall clock that jumps. The monotonic clock goes on, as it does when an administrator or NTP sets the time.

    Args:
        folder: for the file that the processes read their offset from.
        library: of `faketime`.
    """

    def __init__(self, folder: Path, library: Path) -> None:
        self._file = folder / "clock"
        self._library = library
        self.jump(0)

    def jump(self, seconds: float) -> None:
        """Sets the offset from the true time."""
        self._file.write_text(f"{seconds:+f}")

    def wrap(self, service: Service) -> Service:
        """The service with this clock."""
        environment = {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
        }
        return dataclasses.replace(service, environment={**service.environment, **environment})
