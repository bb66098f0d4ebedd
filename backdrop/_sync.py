"""The synchronous client, for code without an event loop: it waits for the asynchronous one."""

from __future__ import annotations

from types import TracebackType
from typing import Unpack

from backdrop._channel import AnyCredentials
from backdrop._client import AsyncClient
from backdrop._events import Event, Result
from backdrop._generation import Generation
from backdrop._info import Info
from backdrop._loop import LoopThread
from backdrop._options import Options
from backdrop.tasks import Task


class SyncGeneration:
    """A generation that runs while a caller iterates over it or waits for its `result()`.

    ```python
    with client.generate(backdrop.Background("mug.png"), prompt="on a beach") as generation:
        for event in generation:  # Accepted, StageStarted, StepProgress, …; then each Picture, and Summary
            ...                   # leaving early cancels: the server stops before its next step
    ```
    """

    def __init__(self, generation: Generation, loop: LoopThread) -> None:
        self._generation = generation
        self._loop = loop

    @property
    def request_id(self) -> str:
        """The server's name for this request; "" until it has accepted it."""
        return self._generation.request_id

    @property
    def idempotency_key(self) -> str:
        """The key that makes trying again safe; "" when there is none."""
        return self._generation.idempotency_key

    def result(self) -> Result:
        """Waits for the end and returns the ranked pictures; raises the errors of `backdrop.errors`."""
        return self._loop.run(self._generation._wait())

    def cancel(self) -> None:
        """Ends the generation, from any thread; a waiting caller gets `CancelledError`."""
        self._loop.loop.call_soon_threadsafe(self._generation.cancel)

    def close(self) -> None:
        """Ends the generation if it still runs, and frees what it holds."""
        self._loop.run(self._generation.aclose())

    def __enter__(self) -> SyncGeneration:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> SyncGeneration:
        return self

    def __next__(self) -> Event:
        try:
            return self._loop.run(self._generation.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None


class Client:
    """Talks to one Backdrop server from ordinary code; may be shared by threads. Arguments as for `AsyncClient`."""

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        timeout_s: float = 600.0,
        credentials: AnyCredentials | None = None,
        max_message_bytes: int = 64 * 2**20,
        retries: int = 2,
        proxy: bool = False,
    ) -> None:
        self._client = AsyncClient(
            endpoint,
            timeout_s=timeout_s,
            credentials=credentials,
            max_message_bytes=max_message_bytes,
            retries=retries,
            proxy=proxy,
        )
        self._loop = LoopThread("backdrop-client")

    @property
    def endpoint(self) -> str:
        """The server's "host:port"."""
        return self._client.endpoint

    def generate(self, task: Task, **options: Unpack[Options]) -> SyncGeneration:
        """Returns the generation; iterate over it, or wait for its `result()`. Arguments as for `AsyncClient`."""
        return SyncGeneration(self._client.generate(task, **options), self._loop)

    def info(self) -> Info:
        """Returns what the server serves; see `AsyncClient.info`."""
        return self._loop.run(self._client.info())

    def ready(self, timeout_s: float = 5.0) -> bool:
        """Returns whether the server takes requests now; waits at most `timeout_s` seconds for its answer."""
        return self._loop.run(self._client.ready(timeout_s))

    def wait_ready(self, timeout_s: float = 60.0) -> Info:
        """Waits until the server takes requests, and returns what it serves; see `AsyncClient.wait_ready`."""
        return self._loop.run(self._client.wait_ready(timeout_s))

    def close(self) -> None:
        """Ends all calls and closes the connection. A closed client cannot be used again."""
        if not self._loop.loop.is_closed():
            self._loop.run(self._client.close())
            self._loop.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
