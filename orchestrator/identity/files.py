"""Files that are replaced while the server runs: read again when they change; faulty ones change nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import structlog

T = TypeVar("T")
log = structlog.get_logger("orchestrator.identity")
_Stamp = tuple[tuple[int, int, int], ...]


class IdentityError(Exception):
    """A file that identities depend on cannot be used; the message names it and says why."""


class WatchedFiles(Generic[T]):
    """What was read from one or several files that belong together.

    Args:
        setting: the variable that names the files, for messages.
        read: makes the value of the paths; raises OSError or ValueError if the files are not usable.
        paths: the files.

    Raises:
        IdentityError: the files are not usable at the start.
    """

    def __init__(self, setting: str, read: Callable[..., T], *paths: Path) -> None:
        self._setting, self._read, self._paths = setting, read, paths
        self._failure = ""
        try:
            self._stamp = self._look()
            self.value = read(*paths)
        except (OSError, ValueError) as problem:
            raise IdentityError(f"{setting}: {problem}") from None

    def refresh(self) -> bool:
        """Reads the files again if they have changed; returns whether the value is new. Blocks.

        Files that are not usable, such as a key without its certificate in the middle of a rotation, are told in the
        log once, and read again at the next call.
        """
        try:
            stamp = self._look()
            if stamp == self._stamp:
                return False
            value = self._read(*self._paths)
        except (OSError, ValueError) as problem:
            if str(problem) != self._failure:
                self._failure = str(problem)
                log.warning("files not taken over", setting=self._setting, why=self._failure)
            return False
        self._stamp, self.value, self._failure = stamp, value, ""
        log.info("files read again", setting=self._setting)
        return True

    def _look(self) -> _Stamp:
        """What changes when a file is written, or replaced by another one, as by Kubernetes through a link."""
        stats = [path.stat() for path in self._paths]
        return tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in stats)
