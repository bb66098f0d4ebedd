"""Rounds are kept, gone on with, and dropped when they are of something else."""

from pathlib import Path

from bench.rounds import Rounds, load, ratios, values


def test_a_later_run_goes_on(tmp_path: Path) -> None:
    Rounds("speed", {"steps": 4}, tmp_path).add({"backdrop": 2.0})
    later = Rounds("speed", {"steps": 4}, tmp_path)
    later.add({"backdrop": 3.0})
    assert values(load("speed", tmp_path), "backdrop") == [2.0, 3.0]
    assert all("commit" in one for one in later.done)


def test_other_settings_begin_anew(tmp_path: Path) -> None:
    Rounds("speed", {"steps": 4}, tmp_path).add({"backdrop": 2.0})
    assert Rounds("speed", {"steps": 8}, tmp_path).done == []
    assert load("speed", tmp_path), "nothing is lost before the first new round is there"


def test_forgetting(tmp_path: Path) -> None:
    Rounds("speed", {}, tmp_path).add({"x": 1.0})
    rounds = Rounds("speed", {}, tmp_path)
    rounds.clear()
    rounds.add({"x": 2.0})
    assert values(load("speed", tmp_path), "x") == [2.0]


def test_ratios_are_made_within_a_round() -> None:
    rounds = [{"a": {"s": 2.0}, "b": 1.0}, {"a": {"s": 9.0}, "b": 3.0}]
    assert ratios(rounds, ["a", "s"], ["b"]) == [2.0, 3.0]


def test_nothing_measured_is_no_rounds(tmp_path: Path) -> None:
    assert load("never", tmp_path) == []
