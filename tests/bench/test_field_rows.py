"""Rows of the table of field reports are counted from pytest's report."""

from __future__ import annotations

from bench.field_rows import outcomes

REPORT = """<testsuites><testsuite>
<testcase name="a"><properties><property name="row" value="mpo"/></properties></testcase>
<testcase name="b"><properties><property name="row" value="mpo"/><property name="row" value="residue"/></properties>
<failure message="wrong"/></testcase>
<testcase name="c"><properties><property name="row" value="fork"/></properties><skipped/></testcase>
<testcase name="d"><properties><property name="row" value="proxy"/></properties><error message="no fixture"/></testcase>
<testcase name="e"/>
</testsuite></testsuites>"""


def test_a_row_is_counted_by_the_tests_that_carry_it() -> None:
    passed, failed = outcomes(REPORT)
    assert passed == {"mpo": 1}
    assert failed == {"mpo": 1, "residue": 1, "proxy": 1}
