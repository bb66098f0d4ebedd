"""A process that runs one service and makes sure that nothing of the service outlives the launcher.

A launcher that is killed with SIGKILL cannot clean up. So a guard runs between the launcher and every service. It holds
the reading end of a pipe; only the launcher has the writing end. When the launcher closes the pipe, or dies, the guard
stops the service and everything that the service started, and removes its shared memory and its work folder. If the
guard itself is killed, the kernel kills the service (PR_SET_PDEATHSIG), and Triton's stubs notice that and end.

`local.supervisor` runs it as a script. It imports only the standard library, so it starts in about 50 ms.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the kernel's place for it, not a temporary file
POLL_S = 0.05


def prctl(option: int, value: int) -> None:
    """Calls Linux' prctl(2). Other systems have no such call; there the pipe is the only protection."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def die_with(parent: int) -> None:
    """Makes the calling process die with its parent; runs in the child, between fork and exec."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # The parent may have died before prctl was called; then the signal never comes.
    if os.getppid() != parent:
        os._exit(1)


def yield_processor(nice: int) -> None:
    """Lowers the weight of the calling session: `nice` 0 is normal, 19 the least.

    Linux shares processors among sessions first (autogroups), and by nice values only within a session.
    """
    os.nice(nice)
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(nice))


def descendants(root: int) -> list[int]:
    """The pids of all processes below `root`, read from /proc."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                # The command's name may contain spaces and parentheses; the fields begin after the last parenthesis.
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    pids, queue = [], [root]
    while queue:
        for child in children.get(queue.pop(), []):
            pids.append(child)
            queue.append(child)
    return pids


def reap() -> None:
    """Collects the exit codes of ended children, including orphans that became children of this process."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def kill_descendants(timeout_s: float) -> None:
    """Kills every process below this one. As a subreaper it is the parent of every orphan."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        alive = descendants(os.getpid())
        if not alive:
            return
        for pid in alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(POLL_S)
        reap()


def clean(shm_prefix: str | None, folders: Sequence[Path]) -> None:
    """Removes the service's shared memory and its work folders."""
    if shm_prefix:
        for region in SHARED_MEMORY.glob(f"{shm_prefix}*"):
            region.unlink(missing_ok=True)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def wait_until_over(child: subprocess.Popen[bytes], wake: int) -> None:
    """Returns when the service has exited, the launcher has closed the pipe, or this guard gets SIGTERM."""
    watched = [sys.stdin.fileno(), wake]
    while child.poll() is None:
        readable, _, _ = select.select(watched, [], [], 1.0)
        if sys.stdin.fileno() in readable and not os.read(sys.stdin.fileno(), 64):
            return
        if wake in readable and signal.SIGTERM in os.read(wake, 64):
            return


def stop(child: subprocess.Popen[bytes], grace_s: float) -> None:
    """Sends the service SIGTERM, and SIGKILL if it still runs after `grace_s`."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(grace_s)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def run(command: list[str], grace_s: float, shm_prefix: str | None, folders: list[Path]) -> int:
    """Runs `command` until it ends or the guard has to stop it; returns its exit code (128 + n for signal n)."""
    # The handlers do nothing: Python writes the signal's number to the pipe, and that wakes up select.
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    guard = os.getpid()
    try:
        child = subprocess.Popen(  # noqa: S603 - the launcher's own command
            command, stdin=subprocess.DEVNULL, stdout=2, preexec_fn=lambda: die_with(guard), restore_signals=True
        )
        # The launcher reads the pid from here. The service's own output goes to stderr, its log.
        os.write(1, f"{child.pid}\n".encode())
        os.close(1)
        wait_until_over(child, wake_read)
        stop(child, grace_s)
        code = child.returncode
    finally:
        kill_descendants(timeout_s=5.0)
        clean(shm_prefix, folders)
    return code if code >= 0 else 128 - code


def main() -> int:
    """Reads the command line and runs the service."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grace", type=float, default=10.0)
    parser.add_argument("--shm-prefix")
    parser.add_argument("--remove", type=Path, action="append", default=[])
    parser.add_argument("--nice", type=int, default=0)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    if options.nice:
        yield_processor(options.nice)
    return run(options.command, options.grace, options.shm_prefix, options.remove)


if __name__ == "__main__":
    sys.exit(main())
