"""Sizes and import circles of the rooms that are held to the marks of the architecture."""

import pytest

from bench.figures import ROOT
from bench.structure import Tree

HELD = ("bench",)
"""Rooms whose files and functions keep to the marks; `python -m bench.architecture` counts over all of them."""


@pytest.fixture(scope="module")
def tree() -> Tree:
    return Tree.tracked(ROOT)


def test_files_and_functions_are_small(tree: Tree) -> None:
    held = tree.under(*HELD)
    assert held.files, "git lists the files"
    assert (held.long_files(), held.long_functions(), held.wide_functions()) == ([], [], [])


def test_no_room_has_an_import_circle(tree: Tree) -> None:
    circles = tree.import_circles()
    assert [circle for circle in circles if any(module.partition(".")[0] in HELD for module in circle)] == []
