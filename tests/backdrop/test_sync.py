"""The synchronous client: the same, for code without an event loop."""

from __future__ import annotations

import inspect
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from backdrop import Accepted, AsyncClient, CancelledError, Client, InvalidRequestError, Reason, StepProgress, Summary
from backdrop.testing import FakeBackdrop
from tests.backdrop.test_client import OPTIONS, TASK


def test_result_info_and_ready(fake: FakeBackdrop) -> None:
    with Client(fake.endpoint) as client:
        generation = client.generate(TASK, **OPTIONS)
        result = generation.result()
        assert generation.request_id == result.request_id
        assert generation.idempotency_key
        assert client.info().default_pipeline == "backdrop"
        assert client.wait_ready(1.0)
        assert client.ready()
        assert client.endpoint == fake.endpoint


def test_events(fake: FakeBackdrop) -> None:
    with Client(fake.endpoint) as client:
        events = list(client.generate(TASK, **OPTIONS))
    assert isinstance(events[0], Accepted)
    assert isinstance(events[-1], Summary)


def test_errors_are_the_same(fake: FakeBackdrop) -> None:
    fake.fail_next(Reason.QUEUE_FULL)
    with Client(fake.endpoint) as client:
        with pytest.raises(InvalidRequestError):
            client.generate(TASK, **{**OPTIONS, "steps": -1})
        assert client.generate(TASK, **OPTIONS).result().pictures  # tried again
        with pytest.raises(InvalidRequestError) as caught:
            client.generate(TASK, **{**OPTIONS, "steps": 0}).result()
    assert caught.value.field == "sampling.steps"


def test_leaving_early_cancels(slow_fake: FakeBackdrop) -> None:
    with Client(slow_fake.endpoint) as client:
        with client.generate(TASK, **{**OPTIONS, "steps": 100}) as generation:
            for event in generation:
                if isinstance(event, StepProgress):
                    break
        time.sleep(0.1)
        steps = slow_fake.steps_run
        time.sleep(0.1)
        assert slow_fake.steps_run == steps < 50


def test_another_thread_may_cancel(slow_fake: FakeBackdrop) -> None:
    with Client(slow_fake.endpoint) as client:
        generation = client.generate(TASK, **{**OPTIONS, "steps": 100})
        threading.Timer(0.1, generation.cancel).start()
        with pytest.raises(CancelledError):
            generation.result()


def test_threads_share_a_client(fake: FakeBackdrop) -> None:
    with Client(fake.endpoint) as client, ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda seed: client.generate(TASK, **OPTIONS, seed=seed).result(), range(8)))
    assert [result.settings.seed for result in results] == list(range(8))


def test_a_closed_client_says_so(fake: FakeBackdrop) -> None:
    client = Client(fake.endpoint)
    client.close()
    client.close()
    with pytest.raises(InvalidRequestError, match="closed"):
        client.info()
    assert not any(thread.name == "backdrop-client" and thread.is_alive() for thread in threading.enumerate())


def test_closing_ends_what_still_runs(slow_fake: FakeBackdrop) -> None:
    client = Client(slow_fake.endpoint)
    outcome: list[Any] = []

    def wait() -> None:
        try:
            outcome.append(client.generate(TASK, **{**OPTIONS, "steps": 100}).result())
        except BaseException as exc:
            outcome.append(exc)

    waiter = threading.Thread(target=wait)
    waiter.start()
    time.sleep(0.2)
    client.close()
    waiter.join(2.0)
    assert not waiter.is_alive()
    assert isinstance(outcome[0], BaseException)


def test_it_offers_what_the_asynchronous_client_offers() -> None:
    def public(cls: type) -> set[str]:
        return {name for name, _ in inspect.getmembers(cls, callable) if not name.startswith("_")}

    assert public(AsyncClient) <= public(Client)
    ours, theirs = inspect.signature(Client.__init__), inspect.signature(AsyncClient.__init__)
    assert ours == theirs
