"""What a call says in gRPC's metadata is read from strangers: no text of it raises."""

from __future__ import annotations

import pytest

from backdrop.contract.metadata import LONGEST_KEY, PRIORITY_KEY, longest_message, read_admission


@pytest.mark.parametrize("text", ["", "-1", "1.5", "9" * 5000, "²", "x", "1 ", "٣"])
def test_what_is_no_number_says_nothing(text: str) -> None:
    assert read_admission([(PRIORITY_KEY, text)]) is None
    assert longest_message([(LONGEST_KEY, text)]) is None


def test_numbers_are_read() -> None:
    assert read_admission([(PRIORITY_KEY, "2")]) == (2, "", False)
    assert longest_message([(LONGEST_KEY, "4194304")]) == 4194304
