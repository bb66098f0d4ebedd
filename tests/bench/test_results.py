"""The rounds on disk are of the measurements' types and settings, and the published figures follow from them."""

import json

import pytest

from bench.figures import detail, load
from bench.measure.base import AREA
from bench.performance import MEASUREMENTS
from bench.requests import requests
from bench.rounds import RESULTS

KEPT = [name for name in MEASUREMENTS if (RESULTS / f"{name}.json").is_file()]


@pytest.mark.parametrize("name", KEPT)
def test_the_published_figures_are_those_of_the_rounds_on_disk(name: str) -> None:
    published = {row["name"]: row for row in (*load(AREA), *load(detail(AREA)))}
    for figure in MEASUREMENTS[name].published():
        row = {key: value for key, value in published[figure.name].items() if key not in ("commit", "machine")}
        assert row == figure.row(), "run `python -m bench.performance --publish` after a change to how figures are made"


@pytest.mark.parametrize("name", KEPT)
def test_a_later_run_continues_them(name: str) -> None:
    document = json.loads((RESULTS / f"{name}.json").read_text())
    assert MEASUREMENTS[name].kept(quick=False).settings == document["settings"]


def test_no_two_rounds_share_a_request() -> None:
    ranges = {requests(name, number).numbers for name in (*MEASUREMENTS, "warm-up") for number in range(50)}
    assert len(ranges) == 50 * (len(MEASUREMENTS) + 1)
    # Ranges of one length that begin at multiples of it do not overlap.
    assert {len(numbers) for numbers in ranges} == {10_000}
    assert all(numbers.start % 10_000 == 0 for numbers in ranges)
    assert requests("warm-up", 7).next().seed == requests("warm-up", 7).numbers.start


def test_every_missed_mark_has_its_reason() -> None:
    missed = [row["name"] for row in load(AREA) if _missed(row) and not row.get("why")]
    assert missed == []


def _missed(row: dict[str, float | str]) -> bool:
    value, mark = float(row["value"]), float(row["mark"])
    return value < mark if row["better"] == "higher" else value > mark
