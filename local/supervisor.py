"""Child processes: started under a guard, waited for until ready, stopped in reverse order."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local.errors import StartError
from local.guard import clean

GUARD = Path(__file__).with_name("guard.py")
POLL_S = 0.05
QUOTED_LINES = 8
QUOTED_WIDTH = 400
PATIENCE_S = 10.0
"""How much longer than its grace period a guard may take: killing what is left, removing files."""


@dataclass(frozen=True)
class Service:
    """How to run one service, and how to tell that it is ready."""

    name: str
    command: tuple[str, ...]
    endpoint: str
    """What people and other services connect to."""
    log: Path
    ready: Callable[[], bool]
    prepare: Callable[[], None] = lambda: None
    """Called before every start, to lay out what the command needs."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """On top of the launcher's own environment."""
    working_folder: Path | None = None
    start_timeout_s: float = 60.0
    grace_s: float = 10.0
    """Time between being asked to stop and being killed."""
    shm_prefix: str | None = None
    """Shared memory regions whose names begin so are removed when the service is gone."""
    remove: tuple[Path, ...] = ()
    """Folders to be removed when the service is gone."""
    complaint: re.Pattern[str] | None = None
    """How the log lines begin that are worth quoting when it fails; None for the last ones, whatever they say."""


def last_words(service: Service, since: int) -> str:
    """What the service's log says at its end, after its first `since` bytes, for a message to a person."""
    try:
        lines = service.log.read_bytes()[since:].decode(errors="replace").splitlines()
    except OSError:
        lines = []
    complaints = [line for line in lines if service.complaint and service.complaint.match(line)]
    quoted = "\n".join(f"    {line[:QUOTED_WIDTH]}" for line in (complaints or lines)[-QUOTED_LINES:])
    return f"{service.log} ends with:\n{quoted}" if quoted else f"{service.log} is empty."


class Child:
    """A service that was started."""

    def __init__(self, service: Service) -> None:
        """Starts the service under its guard.

        Raises:
            StartError: if its command cannot be run.
        """
        self.service = service
        service.log.parent.mkdir(parents=True, exist_ok=True)
        service.prepare()
        options = [f"--grace={service.grace_s}", *(f"--remove={folder}" for folder in service.remove)]
        if service.shm_prefix:
            options.append(f"--shm-prefix={service.shm_prefix}")
        with service.log.open("ab") as log:
            self.log_start = log.tell()
            # A session of its own: Ctrl-C in the terminal reaches the launcher alone, which then keeps the order.
            self.guard = subprocess.Popen(  # noqa: S603 - our own guard
                [sys.executable, "-I", str(GUARD), *options, "--", *service.command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **service.environment},
                cwd=service.working_folder,
                start_new_session=True,
            )
        assert self.guard.stdout is not None
        line = self.guard.stdout.readline()
        if not line.strip():
            self.stop()
            raise StartError(f"{service.name} could not be run. {last_words(service, self.log_start)}")
        self.pid = int(line)
        """The service's own pid; the guard's is `guard.pid`."""

    @property
    def exit_code(self) -> int | None:
        """The service's exit code (128 + n for signal n); None while it runs."""
        return self.guard.poll()

    def wait_ready(self) -> None:
        """Waits until the service answers.

        Raises:
            StartError: if it exits first, or takes longer than its `start_timeout_s`.
        """
        service, deadline = self.service, time.monotonic() + self.service.start_timeout_s
        while not service.ready():
            code = self.exit_code
            if code is not None:
                what = f"{service.name} stopped with exit code {code} before it was ready"
            elif time.monotonic() > deadline:
                what = f"{service.name} was not ready after {service.start_timeout_s:.0f} s"
            else:
                time.sleep(POLL_S)
                continue
            raise StartError(f"{what}. {last_words(service, self.log_start)}")

    def stop(self) -> None:
        """Stops the service: politely, after its grace period by force. Does nothing if it has stopped already."""
        for pipe in (self.guard.stdin, self.guard.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            self.guard.wait(self.service.grace_s + PATIENCE_S)
        except subprocess.TimeoutExpired:
            # The guard hangs; the kernel kills the service with it.
            self.guard.kill()
            self.guard.wait()
        # The guard has done this, unless it was killed itself.
        clean(self.service.shm_prefix, self.service.remove)

    def signal(self, number: signal.Signals) -> None:
        """Sends the service itself a signal, past its guard: how tests break things."""
        os.kill(self.pid, number)


class Supervisor:
    """The children of one launcher, in the order they were started."""

    def __init__(self) -> None:
        self.children: dict[str, Child] = {}

    def start(self, service: Service, *, wait: bool = True) -> Child:
        """Starts a service and, unless told otherwise, waits until it is ready.

        Raises:
            StartError: if it cannot be run or does not become ready; it is stopped then.
        """
        if service.name not in self.children:
            # A restart goes on in the same log; a new launch begins a new one.
            service.log.unlink(missing_ok=True)
        child = Child(service)
        self.children[service.name] = child
        if wait:
            child.wait_ready()
        return child

    def restart(self, name: str) -> Child:
        """Stops a service, if it still runs, and starts it again with the same command and ports."""
        child = self.children[name]
        child.stop()
        return self.start(child.service)

    def dead(self) -> Child | None:
        """A child that has exited although nobody stopped it."""
        return next((child for child in self.children.values() if child.exit_code is not None), None)

    def stop(self) -> None:
        """Stops all children, the last started first: nobody loses a service it depends on before it is gone itself."""
        while self.children:
            _, child = self.children.popitem()
            child.stop()
