"""Gauges that are read when they are scraped, in the event loop, since what they read changes there."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

Reading = float | Mapping[str, float]
# A loop that is busy for longer answers with the values of the previous scrape.
_PATIENCE_S = 1.0


class _Gauge(NamedTuple):
    name: str
    text: str
    label: str
    read: Callable[[], Reading]


class Gauges(Collector):
    """The gauges of one registry; made without a running event loop, they are read directly."""

    def __init__(self) -> None:
        self._gauges: list[_Gauge] = []
        self._latest: list[Reading] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        with contextlib.suppress(RuntimeError):
            self._loop = asyncio.get_running_loop()

    def watch(self, name: str, text: str, read: Callable[[], Reading], label: str) -> None:
        """Adds a gauge; with a label, `read` returns a value for each of its values."""
        self._gauges.append(_Gauge(name, text, label, read))

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing is read at registration."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yields every gauge with its value now."""
        self._refresh()
        for gauge, reading in zip(self._gauges, self._latest, strict=False):
            values = reading if isinstance(reading, Mapping) else {"": reading}
            family = GaugeMetricFamily(gauge.name, gauge.text, labels=[gauge.label] if gauge.label else [])
            for key, value in values.items():
                family.add_metric([key] if gauge.label else [], value)
            yield family

    def _refresh(self) -> None:
        """Reads all gauges: scrapes run in a thread of their own, and a set that changes cannot be iterated there."""
        if self._loop is None or not self._loop.is_running():
            self._read()
            return
        if _is_current(self._loop):
            self._read()
            return
        done = threading.Event()

        def read() -> None:
            self._read()
            done.set()

        self._loop.call_soon_threadsafe(read)
        done.wait(_PATIENCE_S)

    def _read(self) -> None:
        self._latest = [gauge.read() for gauge in self._gauges]


def _is_current(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
