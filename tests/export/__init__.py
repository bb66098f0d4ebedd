"""Tests of `export/`, on a tiny pipeline folder made here."""
