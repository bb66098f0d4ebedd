"""What makes torch's ONNX exporter quicker and leaves every byte of its graphs as it is, and tells what it does now."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from onnxscript.rewriter import pattern
from torch.export import ExportedProgram

Told = Callable[[str], None]
"""Called with the part of the tracing that begins now."""


def untold(part: str) -> None:
    """Tells nobody."""


@contextmanager
def quickened(tell: Told) -> Iterator[None]:
    """While the block runs, `torch.onnx.export` is quicker and tells its parts."""
    decompose: Any = ExportedProgram.run_decompositions
    rewrite: Any = pattern.RewriteRule.try_rewrite

    def decomposed(program: ExportedProgram, table: Any) -> ExportedProgram:
        tell("decomposing")
        result: ExportedProgram = decompose(program, table)
        tell("translating")
        return result

    def rewritten(rule: Any, model: Any, graph: Any, node: Any, **options: Any) -> Any:
        root = root_of(rule)
        return rewrite(rule, model, graph, node, **options) if root in (None, node.op_type) else None

    tell("capturing")
    collecting = gc.isenabled()
    # Tracing makes millions of objects that live to its end: looking for garbage among them takes a tenth of the time.
    gc.disable()
    try:
        with (
            mock.patch.object(ExportedProgram, "run_decompositions", decomposed),
            mock.patch.object(pattern.RewriteRule, "try_rewrite", rewritten),
        ):
            yield
    finally:
        if collecting:
            gc.enable()


def root_of(rule: Any) -> str | None:
    """The operator that a rule's match ends with; None where it is not one operator.

    The rewriter tries each of its sixty rules on each node. Nearly all end at this comparison, after much preparation.
    """
    roots: Any = getattr(getattr(rule, "_target_pattern", None), "output_nodes", ())
    value = getattr(roots[0].op, "value", None) if len(roots) == 1 else None
    return value() if callable(value) else None
