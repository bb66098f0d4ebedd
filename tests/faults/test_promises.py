"""Every promise is shown by a test, and every test of faults shows a promise."""

from __future__ import annotations

import re

from local.orchestrator import ROOT
from tests.faults.promises import PROMISES


def test_each_promise_has_a_test_and_no_test_an_unknown_promise() -> None:
    marks = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"mark\.promise\(\"([\w-]+)\"\)", file.read_text())
    }
    assert marks == set(PROMISES)
