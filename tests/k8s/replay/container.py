"""One container as a process: its mapped command, its log, and how it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
from pathlib import Path

from local.guard import clean, descendants
from tests.k8s.rendering import Manifest
from tests.k8s.replay.images import Image
from tests.k8s.replay.mounts import Here, NotThereError, expanded

_SETPRIV = shutil.which("setpriv")
# A preexec function would be simpler, but is not safe in a process where gRPC has threads.
_DIES_WITH_US = (_SETPRIV, "--pdeathsig", "KILL") if _SETPRIV else ()


class Container:
    """A container of a pod.

    Args:
        name: pod/container, for messages.
        spec: from the manifest.
        image: the stand-in for its image.
        here: maps its paths and addresses to this machine.
        variables: its environment, as in the manifest.
        log: file for its output.
    """

    def __init__(
        self, name: str, spec: Manifest, image: Image, here: Here, variables: dict[str, str], log: Path
    ) -> None:
        self.name = name
        self.spec = spec
        self.log = log
        self.killed = False
        """Whether it had to be killed because it did not end within its grace period."""
        self._image = image
        self._here = here
        self._variables = variables
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Starts the process.

        Raises:
            NotThereError: the image has no such program.
        """
        command = self._command([*self.spec["command"], *self.spec.get("args", [])])
        if self._image.shm_prefix:
            command.append(f"--backend-config=python,shm-region-prefix-name={self._shm}")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *_DIES_WITH_US,
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(),
                cwd=self.log.parent,
            )

    async def wait(self) -> int:
        """Waits until it ends; returns its exit status."""
        assert self._process is not None
        return await self._process.wait()

    async def run(self, command: list[str]) -> int:
        """Runs another command in the container, as `exec` probes and hooks do."""
        process = await asyncio.create_subprocess_exec(
            *self._command(command), env=self._environment(), stdin=asyncio.subprocess.DEVNULL
        )
        try:
            return await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def stop(self, grace_s: float) -> None:
        """Runs preStop, then sends SIGTERM, and SIGKILL at the end of the grace period, which covers both."""
        if self._process is None:
            return
        try:
            async with asyncio.timeout(grace_s):
                hook = self.spec.get("lifecycle", {}).get("preStop", {})
                if self._process.returncode is None:
                    await asyncio.sleep(hook.get("sleep", {}).get("seconds", 0))
                    if "exec" in hook:
                        await self.run(hook["exec"]["command"])
                    self._signal(signal.SIGTERM)
                await self._process.wait()
        except TimeoutError:
            self.killed = True
        await self.kill()

    async def kill(self) -> None:
        """Kills the process and its descendants, as the end of a pod's namespace does."""
        if self._process is None:
            return
        below = descendants(self._process.pid)
        self._signal(signal.SIGKILL)
        await self._process.wait()
        for pid in below:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        clean(self._shm if self._image.shm_prefix else None, [])

    def words(self) -> str:
        """The first and last lines of its log: some programs print the error first and then their usage."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.is_file() else []
        return "\n".join([*lines[:3], "…", *lines[3:][-12:]])

    @property
    def _shm(self) -> str:
        return f"{self._image.shm_prefix}{os.getpid()}_{self.name.replace('/', '_')}_"

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    def _command(self, command: list[str]) -> list[str]:
        program, *arguments = expanded(command, self._variables)
        if program not in self._image.programs:
            raise NotThereError(f"{self.name}: the image has no {program}; it has {', '.join(self._image.programs)}")
        return [*self._image.programs[program], *(self._here.text(argument) for argument in arguments)]

    def _environment(self) -> dict[str, str]:
        ours = {name: self._here.text(value) for name, value in self._variables.items()}
        mounts = {path: str(folder) for path, folder in self._here.paths.items()}
        temporary = {"TMPDIR": mounts["/tmp"]} if "/tmp" in mounts else {}
        return {
            "PATH": os.defpath,
            **self._image.environment,
            **temporary,
            "REPLAY_MOUNTS": json.dumps(mounts),
            **ours,
        }
