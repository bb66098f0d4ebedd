"""The work behind `backdrop campaign`: the requests of a file, each made once, whatever dies meanwhile.

The folder of the results is the store: a request is done when its folder is there, and a second run makes the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from typer.exceptions import TyperException

from backdrop._cli.connection import Connection
from backdrop._cli.failures import BAD_INPUT, OTHER, Refusal, sentence
from backdrop._cli.generate import Request
from backdrop._cli.report import write_result
from backdrop._cli.task_command import request_flags, request_of
from backdrop._client import AsyncClient
from backdrop._request import build_request
from backdrop.errors import BackdropError, UnavailableError
from backdrop.tasks import TASKS

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MOST_TOLD = 10
_DIGEST = "request.sha256"


@dataclasses.dataclass(frozen=True)
class Job:
    """One line of the file.

    Attributes:
        name: of its folder.
        request: its files are not read yet.
    """

    name: str
    request: Request


def read(file: Path) -> list[Job]:
    """The jobs of a file of JSON lines.

    Raises:
        OSError: the file cannot be read.
        Refusal: it names the lines that are wrong, up to ten, and what is wrong with them.
    """
    jobs: dict[str, Job] = {}
    faults = []
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            job = _job(line)
            if job.name in jobs:
                raise ValueError(f"a line before has the name {job.name} too.")
            jobs[job.name] = job
        except BackdropError as problem:
            faults.append(f"line {number}: {sentence(problem)}")
        except TyperException as problem:
            faults.append(f"line {number}: {problem.format_message()}")
        except (ValueError, RecursionError) as problem:
            faults.append(f"line {number}: {problem}")
    if faults:
        more = f"\n… and {len(faults) - _MOST_TOLD} more lines" if len(faults) > _MOST_TOLD else ""
        raise Refusal(f"{file}: nothing was sent.\n" + "\n".join(faults[:_MOST_TOLD]) + more, BAD_INPUT)
    if not jobs:
        raise Refusal(f"{file} has no lines.", BAD_INPUT)
    return list(jobs.values())


def run(file: Path, out: Path, connection: Connection, *, at_once: int, retries: int) -> None:
    """Makes what is not there yet.

    Raises:
        Refusal: a line is wrong, another process works on the folder, or some requests failed.
        BackdropError: no server takes requests any more.
        OSError: a file cannot be read or written.
    """
    jobs = read(file)
    out.mkdir(parents=True, exist_ok=True)
    with _alone(out):
        campaign = _Campaign(out, Console(stderr=True), len(jobs))
        asyncio.run(campaign.make(jobs, connection, at_once, retries))
    failed = f", {len(campaign.failures)} failed" if campaign.failures else ""
    typer.echo(f"{campaign.made} made, {campaign.present} were there{failed}: {out}")
    if campaign.failures:
        raise Refusal("Not made; a second run tries these again: " + ", ".join(sorted(campaign.failures)), OTHER)


class _Campaign:
    def __init__(self, out: Path, console: Console, count: int) -> None:
        self.made = self.present = 0
        self.failures: set[str] = set()
        self._out, self._console, self._count = out, console, count

    async def make(self, jobs: Sequence[Job], connection: Connection, at_once: int, retries: int) -> None:
        waiting = iter(jobs)
        async with AsyncClient(connection.endpoint, credentials=connection.credentials, retries=retries) as client:

            async def work() -> None:
                for job in waiting:
                    await self._make(job, client)

            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(at_once, len(jobs))):
                        group.create_task(work())
            except* (BackdropError, OSError, Refusal) as problems:
                raise problems.exceptions[0] from None

    async def _make(self, job: Job, client: AsyncClient) -> None:
        """Makes one job, unless its folder is there; a failure that is the request's own is told and kept."""
        try:
            request, contents = await asyncio.to_thread(job.request.with_contents)
            digest = _digest(job.name, request)
            if self._is_there(job.name, digest):
                self.present += 1
                return
            # The same in a second run: what the server made for a process that died is not made again.
            options = {"idempotency_key": digest[:32], **request.options}
            result = await client.generate(request.task, **options)
        except UnavailableError:
            raise
        except BackdropError as problem:
            self.failures.add(job.name)
            self._tell(job.name, f"[red]failed[/red]: {escape(sentence(problem))}")
            return
        sent = job.request.sent(contents, client.endpoint)
        with _folder(self._out / job.name) as folder:
            await asyncio.to_thread(write_result, folder, result, sent)
            (folder / _DIGEST).write_text(digest + "\n")
        self.made += 1
        self._tell(job.name, "made")

    def _is_there(self, name: str, digest: str) -> bool:
        """Raises Refusal if the folder has the result of another request."""
        folder = self._out / name
        if not folder.exists():
            return False
        file = folder / _DIGEST
        if file.exists() and file.read_text().strip() == digest:
            return True
        raise Refusal(f"{folder} is of another request; remove it, or give the line another name.", BAD_INPUT)

    def _tell(self, name: str, what: str) -> None:
        done = self.made + self.present + len(self.failures)
        self._console.print(f"{done} of {self._count}: {name} {what}", highlight=False, soft_wrap=True)


@contextlib.contextmanager
def _folder(final: Path) -> Iterator[Path]:
    """A folder that appears under its name when it is complete."""
    partial = final.with_name(f".{final.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a process that died
    partial.mkdir()
    yield partial
    partial.rename(final)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keeps other processes from working on the folder; the lock goes with this one, however that ends."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Refusal(f"another process works on {folder}.", OTHER) from None
    finally:
        os.close(handle)


def _digest(name: str, request: Request) -> str:
    """Of everything that the request sends, and its name: two lines that are equal are two requests."""
    message = build_request(request.task, request.options).SerializeToString(deterministic=True)
    return hashlib.sha256(name.encode() + b"\0" + message).hexdigest()


def _job(line: str) -> Job:
    """Raises ValueError, BackdropError, TyperException."""
    fields = json.loads(line)
    if not isinstance(fields, dict):
        raise ValueError('it is not an object; write {"name": …, "task": …, …}.')
    name, task = fields.pop("name", None), fields.pop("task", "background")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"name is {name!r}; write up to 100 letters, digits, '.', '_' and '-'.")
    kind = TASKS.get(task.replace("-", "_")) if isinstance(task, str) else None
    if kind is None:
        raise ValueError(f"task is {task!r}; there are {', '.join(TASKS)}.")
    flags = request_flags(kind)
    return Job(
        name, request_of(kind, [argument for key, value in fields.items() for argument in _flag(key, value, flags)])
    )


def _flag(key: str, value: Any, flags: Sequence[str]) -> list[str]:
    """A field of the line as arguments of the task's command."""
    flag = "--" + key.replace("_", "-")
    if flag not in flags:
        raise ValueError(f"{key} is no field of a request; the fields are the task's flags.")
    if isinstance(value, list):
        return [argument for each in value for argument in _flag(key, each, flags)]
    if isinstance(value, bool):
        return [flag] if value else []
    if isinstance(value, Mapping) or value is None:
        raise ValueError(f"{key} is {json.dumps(value)[:40]}; write what the flag takes.")
    return [f"{flag}={value}"]
