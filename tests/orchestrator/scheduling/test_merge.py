"""Merged calls: the order of rows, and constants that stay the same array while the same calls share batches."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np

from orchestrator.scheduling.merge import Merger, joined, pieces, split


def call(seed: int, rows: int = 2) -> dict[str, Any]:
    """A step's inputs: what changes, and a view of what does not."""
    constant = np.full((2, 3), seed, np.float32)
    constant.flags.writeable = False
    return {"sample": np.full((rows, 4), seed, np.float32), "mask": constant[:rows]}


def again(before: dict[str, Any]) -> dict[str, Any]:
    """The next step: new views of the same constants."""
    return {"sample": before["sample"] + 1, "mask": before["mask"].base[: len(before["mask"])]}


def test_rows_lie_behind_one_another_and_come_apart_again() -> None:
    merged = Merger().merge([call(1), call(2, rows=1), call(3)])
    assert merged["sample"][:, 0].tolist() == merged["mask"][:, 0].tolist() == [1, 1, 2, 3, 3]
    parts = split({"noise_pred": merged["sample"]}, [2, 1, 2])
    assert [part["noise_pred"][:, 0].tolist() for part in parts] == [[1, 1], [2], [3, 3]]
    assert all(np.shares_memory(part["noise_pred"], merged["sample"]) for part in parts), "no copy"


def test_a_call_alone_is_not_touched() -> None:
    alone = call(1)
    assert Merger().merge([alone]) is alone


def test_constants_are_merged_once_for_a_set_of_batch_mates() -> None:
    merger, calls = Merger(), [call(1), call(2)]
    first = merger.merge(calls)
    later = merger.merge([again(each) for each in calls])
    assert later["mask"] is first["mask"]
    assert not later["mask"].flags.writeable, "so that it goes by reference"
    assert later["sample"] is not first["sample"]
    assert later["sample"].flags.writeable


def test_other_batch_mates_or_other_rows_are_other_constants() -> None:
    merger, one, two, three = Merger(), call(1), call(2), call(3)
    first = merger.merge([one, two])
    for others in ([two, one], [one, three], [one, {name: value[:1] for name, value in two.items()}]):
        merged = merger.merge(others)
        assert merged["mask"] is not first["mask"]
        assert merged["mask"][:, 0].tolist() == merged["sample"][:, 0].tolist()


def test_what_can_be_written_to_is_no_constant() -> None:
    merger, one, two = Merger(), call(1), call(2)
    two["mask"] = two["mask"].copy()
    first = merger.merge([one, two])
    two["mask"][:] = 9
    assert merger.merge([one, two])["mask"][:, 0].tolist() == [1, 1, 9, 9]
    assert first["mask"][:, 0].tolist() == [1, 1, 2, 2]
    assert merger.remembered == 0


def test_constants_of_calls_that_are_gone_are_dropped_and_few_others_are_kept() -> None:
    merger, calls = Merger(), [call(seed) for seed in range(8)]
    for first in range(7):
        merger.merge(calls[first : first + 2])
    assert merger.remembered == 4
    del calls
    gc.collect()
    assert merger.remembered == 0


def test_a_large_call_goes_in_few_pieces_that_share_its_memory() -> None:
    large = {"sample": np.arange(10, dtype=np.float32)[:, None], "mask": np.ones((10, 3), np.float32)}
    large["mask"].flags.writeable = False
    parts = pieces(large, 4)
    assert [len(part["sample"]) for part in parts] == [4, 3, 3]
    assert all(np.shares_memory(part["mask"], large["mask"]) and not part["mask"].flags.writeable for part in parts)
    assert np.array_equal(joined([{"y": part["sample"]} for part in parts])["y"], large["sample"])
