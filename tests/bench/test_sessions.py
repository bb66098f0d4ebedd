"""The monolith's gathering: equal kinds share a run, and everyone gets their own rows back."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bench.arms.sessions import Answer, BatchGatherer, Sessions
from tests.local import small


class Doubling(Sessions):
    """Doubles, and remembers the rows of each run."""

    def __init__(self) -> None:
        self.runs: list[tuple[str, int]] = []

    def run(self, model: str, inputs: Mapping[str, npt.NDArray[Any]]) -> Answer:
        self.runs.append((model, len(inputs["x"])))
        return {"y": inputs["x"] * 2}


def rows(count: int, value: float, width: int = 3) -> dict[str, npt.NDArray[Any]]:
    return {"x": np.full((count, width), value, np.float32)}


async def test_requests_that_ask_together_are_answered_together() -> None:
    sessions = Doubling()
    gather = BatchGatherer(sessions, max_rows=16)

    async def request(value: float) -> list[float]:
        answers = []
        for step in range(3):
            answer = await gather("denoiser", rows(2, value + step), request_id="")
            answers.append(float(answer["y"][1, 0]))
        return answers

    assert list(await asyncio.gather(request(1), request(10))) == [[2, 4, 6], [20, 22, 24]]
    assert sessions.runs == [("denoiser", 4)] * 3


async def test_kinds_are_kept_apart_and_batches_bounded() -> None:
    sessions = Doubling()
    gather = BatchGatherer(sessions, max_rows=4)
    calls = [("a", rows(2, 1)), ("a", rows(2, 2)), ("a", rows(2, 3)), ("b", rows(1, 4)), ("a", rows(1, 5, width=4))]
    answers = await asyncio.gather(*(gather(model, inputs, request_id="") for model, inputs in calls))
    assert [float(answer["y"][0, 0]) for answer in answers] == [2, 4, 6, 8, 10]
    assert sorted(sessions.runs) == [("a", 1), ("a", 2), ("a", 4), ("b", 1)]


async def test_a_request_that_ends_early_leaves_its_rows_out() -> None:
    sessions = Doubling()
    gather = BatchGatherer(sessions, max_rows=16)

    async def request(steps: int) -> None:
        for _ in range(steps):
            await gather("denoiser", rows(1, 0), request_id="")

    await asyncio.gather(request(1), request(3))
    assert [count for _, count in sessions.runs] == [2, 1, 1]


@pytest.mark.parametrize("gathered", [False, True])
async def test_real_sessions_answer_either_way(tmp_path: Path, gathered: bool) -> None:
    sessions = Sessions(small.write_repository(tmp_path), threads=1)
    infer = BatchGatherer(sessions, max_rows=8) if gathered else sessions
    answer = await infer("double", rows(2, 1.5), request_id="")
    assert np.array_equal(answer["y"], np.full((2, 3), 3.0, np.float32))
