"""The sizes of the rooms that are held to the marks of the architecture; circles are in test_architecture.py."""

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
