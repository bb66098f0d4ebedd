"""What it costs to decode in processes of their own, as a part of the published duration of a lonely request."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from backdrop.contract.pictures import Photo, decode_photo
from bench.figures import Figure, at_most, detail, load
from orchestrator.decoding import Decoders
from tests.pictures import encoded, noisy_photo

_SIDES = (256, 1024)
_ROUNDS = 20
_MOST_PERCENT = 5.0
_REQUEST = "one lonely request, backdrop, seconds"


def decoding(command: str) -> list[Figure]:
    """Decodes photos here and there in turn, and compares the processor time, which other programs disturb little."""
    request_s = next(row["value"] for row in load(detail("performance")) if row["name"] == _REQUEST)
    decoders = Decoders(1)
    decoders.start()
    try:
        added = {side: _added_s(decoders, encoded(_photo(side), "JPEG")) for side in _SIDES}
    finally:
        decoders.close()
    name = "decoding in a process of its own: added to a lonely request, %"
    spread = ", ".join(f"{1000 * seconds:+.1f} ms at {side} × {side}" for side, seconds in added.items())
    return [Figure(name, round(100 * max(added.values()) / request_s, 2), at_most(_MOST_PERCENT), command, spread)]


def _photo(side: int) -> npt.NDArray[np.uint8]:
    small = Image.fromarray(noisy_photo(side // 16, side // 16))
    return np.array(small.resize((side, side), Image.Resampling.BICUBIC))


def _added_s(decoders: Decoders, data: bytes) -> float:
    here, there = [], []
    for _ in range(_ROUNDS):
        here.append(_processor_s(lambda: decode_photo(data, max_pixels=16_000_000, field="product"), []))
        there.append(
            _processor_s(lambda: decoders.photo(data, max_pixels=16_000_000, field="product"), decoders.processes())
        )
    return statistics.median(there) - statistics.median(here)


def _processor_s(decode: Callable[[], Photo], processes: Sequence[int]) -> float:
    """Processor time of this thread and of the processes."""
    began = time.thread_time() + _used_s(processes)
    decode()
    return time.thread_time() + _used_s(processes) - began


def _used_s(processes: Sequence[int]) -> float:
    # Linux: nanoseconds on a processor come first.
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in processes) / 1e9
