"""No import circles, and the sizes of the rooms that are held to the marks of the architecture."""

import pytest

from bench.figures import ROOT
from bench.structure import Tree

HELD = ("bench",)
"""Rooms whose files and functions keep to the marks; `python -m bench.architecture sizes` counts over all of them."""


@pytest.fixture(scope="module")
def tree() -> Tree:
    return Tree.tracked(ROOT)


def test_files_and_functions_are_small(tree: Tree) -> None:
    held = tree.under(*HELD)
    assert held.files, "git lists the files"
    assert (held.long_files(), held.long_functions(), held.wide_functions()) == ([], [], [])


def test_there_is_no_import_circle(tree: Tree) -> None:
    assert tree.import_circles() == []
