"""Docs that are made from data are up to date, and README's example runs as it stands."""

from bench import tables


def test_generated_tables_are_current() -> None:
    assert [file.name for file in tables.stale()] == [], "run `make docs`"
