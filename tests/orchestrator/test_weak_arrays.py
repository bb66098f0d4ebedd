"""Values of arrays: kept while the arrays live, dropped once one of them is gone, bounded in number."""

from __future__ import annotations

import gc

import numpy as np

from orchestrator.weak_arrays import WeakArrays, address_of, owner_of


def test_a_value_lives_as_long_as_all_of_its_arrays() -> None:
    dropped: list[str] = []
    values: WeakArrays[int, str] = WeakArrays(dropped=dropped.append)
    one, two = np.zeros(3), np.zeros(3)
    values.put(1, "both", [one, two, one])
    values.put(2, "one", [one])
    assert (values.get(1), values.get(2), values.get(3), len(values)) == ("both", "one", None, 2)
    del two
    gc.collect()
    assert (len(values), values.get(1), dropped) == (1, None, ["both"])
    del one
    gc.collect()
    assert (len(values), dropped) == (0, ["both", "one"])


def test_the_value_that_was_used_longest_ago_makes_room() -> None:
    values: WeakArrays[int, int] = WeakArrays(most=2)
    array = np.zeros(3)
    for key in (1, 2):
        values.put(key, key, [array])
    values.get(1)
    values.put(3, 3, [array])
    assert [values.get(key) for key in (1, 2, 3)] == [1, None, 3]


def test_a_view_belongs_to_the_array_whose_memory_it_shows() -> None:
    array = np.arange(6.0)
    view = array[2:]
    assert owner_of(view) is array
    assert owner_of(array) is array
    assert address_of(view) - address_of(array) == 2 * array.itemsize
