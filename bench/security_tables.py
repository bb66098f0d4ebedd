"""The tables of docs/security.md: who may call what, by the code that decides it, and what the scopes are."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from backdrop.contract.access import GENERATE, METHODS, OPEN, SCOPES, check_method, check_pipeline
from backdrop.errors import BackdropError
from bench.key_tables import table

_ONE = f"{GENERATE}:NAME"
_COLUMNS = (GENERATE, _ONE, *(scope for scope in SCOPES if scope != GENERATE))


def access_table(_: str = "") -> str:
    """Every method, and what a caller with each scope alone is answered."""
    rows = [(f"`{method}`", _nobody(method), *(_answer(method, scope) for scope in _COLUMNS)) for method in METHODS]
    rows.append(("any other", "UNAUTHENTICATED", *(_answer("/any.Other/Method", scope) for scope in _COLUMNS)))
    return table(("method", "no identity, or a wrong one", *(f"`{scope}`" for scope in _COLUMNS)), rows)


def scopes_table(_: str = "") -> str:
    """The scopes."""
    return table(("scope", "what it allows"), [(f"`{scope}`", text) for scope, text in SCOPES.items()])


def _nobody(method: str) -> str:
    return "yes" if METHODS[method] == OPEN else "UNAUTHENTICATED"


def _answer(method: str, scope: str) -> str:
    try:
        check_method({scope}, method)
        if METHODS[method] == GENERATE:
            check_pipeline({scope}, "another")
    except BackdropError as refusal:
        name = refusal.code.name
        return f"its pipeline, else {name}" if scope == _ONE and METHODS.get(method) == GENERATE else name
    return "yes"


MAKERS: Mapping[str, Callable[[str], str]] = {"access": access_table, "scopes": scopes_table}
