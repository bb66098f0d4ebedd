"""Child processes: started under a guard, waited for until ready, stopped in reverse order."""

from __future__ import annotations

import contextlib
import itertools
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
_MOST_CRASHES = 2
QUOTED_WIDTH = 400
GUARD_TIMEOUT_S = 10.0
"""How much longer than its service's grace period a guard may take to kill processes and remove files."""


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
    nice: int = 0
    """The weight of the service's processes against others of this machine: 0 is normal, 19 the least."""
    shm_prefix: str | None = None
    """Shared memory regions with this prefix are removed when the service has ended."""
    remove: tuple[Path, ...] = ()
    """Folders that are removed when the service has ended."""
    error_line: re.Pattern[str] | None = None
    """How a log line begins that says why the service failed; None where any line may say it."""


def log_tail(service: Service, since: int) -> str:
    """A sentence that quotes the last error lines of the log after its first `since` bytes, or its last lines."""
    try:
        lines = service.log.read_bytes()[since:].decode(errors="replace").splitlines()
    except OSError:
        lines = []
    errors = [line for line in lines if service.error_line and service.error_line.match(line)]
    quoted = "\n".join(f"    {line[:QUOTED_WIDTH]}" for line in (errors or lines)[-QUOTED_LINES:])
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
        self.started_at = time.monotonic()
        options = [f"--grace={service.grace_s}", *(f"--remove={folder}" for folder in service.remove)]
        if service.nice:
            options.append(f"--nice={service.nice}")
        if service.shm_prefix:
            options.append(f"--shm-prefix={service.shm_prefix}")
        with service.log.open("ab") as log:
            self.log_start = log.tell()
            # A session of its own: Ctrl-C in the terminal reaches the launcher alone, which stops services in order.
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
            raise StartError(f"{service.name} could not be run. {log_tail(service, self.log_start)}")
        self.pid = int(line)
        """The service's own pid; the guard's is `guard.pid`."""

    @property
    def exit_code(self) -> int | None:
        """The service's exit code (128 + n for signal n); None while it runs."""
        return self.guard.poll()

    @property
    def crashed(self) -> bool:
        """Whether a signal has ended the service."""
        return (self.exit_code or 0) > 128

    def is_ready(self) -> bool:
        """Whether the service answers.

        Raises:
            StartError: if it exited first, or has taken longer than its `start_timeout_s`.
        """
        service = self.service
        # Its own exit comes first: if its port was taken, another program answers on it.
        code = self.exit_code
        if code is not None:
            problem = f"{service.name} stopped with exit code {code} before it was ready"
        elif service.ready():
            return True
        elif time.monotonic() - self.started_at > service.start_timeout_s:
            problem = f"{service.name} was not ready after {service.start_timeout_s:.0f} s"
        else:
            return False
        raise StartError(f"{problem}. {log_tail(service, self.log_start)}")

    def wait_ready(self) -> None:
        """Waits until the service answers.

        Raises:
            StartError: if it exits first, or takes longer than its `start_timeout_s`.
        """
        while not self.is_ready():
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Stops the service, if it runs, by SIGTERM and after its grace period by SIGKILL; removes its files."""
        for pipe in (self.guard.stdin, self.guard.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            self.guard.wait(self.service.grace_s + GUARD_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            # The guard hangs. The kernel kills the service with it.
            self.guard.kill()
            self.guard.wait()
        # The guard has done this, unless it was killed itself.
        clean(self.service.shm_prefix, self.service.remove)

    def signal(self, number: signal.Signals) -> None:
        """Sends the service itself a signal, not its guard; tests cause faults with it."""
        os.kill(self.pid, number)


class Supervisor:
    """The children of one launcher, in the order they were started."""

    def __init__(self) -> None:
        self.children: dict[str, Child] = {}

    def start(self, service: Service, *, wait: bool = True) -> Child:
        """Starts a service, or starts it again after it ended, and waits until it is ready unless `wait` is false.

        Raises:
            StartError: if it cannot be run or does not become ready.
        """
        if service.name not in self.children:
            # A restart appends to the log; a new launch begins a new one.
            service.log.unlink(missing_ok=True)
        child = self.children[service.name] = Child(service)
        return self.wait_ready(service.name) if wait else child

    def wait_ready(self, name: str) -> Child:
        """Waits until a service that was started is ready.

        One that a signal ends before it is ready is started again, at most twice: on a busy machine Triton's start has
        ended by SIGABRT.

        Raises:
            StartError: if it does not become ready.
        """
        for crashes in itertools.count(1):
            child = self.children[name]
            try:
                child.wait_ready()
                break
            except StartError:
                if not child.crashed or crashes > _MOST_CRASHES:
                    raise
                child.stop()
                self.children[name] = Child(child.service)
        return child

    def stop(self) -> None:
        """Stops all children, the last started first, so that a service ends before those that it depends on."""
        while self.children:
            _, child = self.children.popitem()
            child.stop()
