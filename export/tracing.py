"""What makes torch's ONNX exporter quicker without a change of what its graphs compute, and tells what it does now."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from onnxscript.rewriter import pattern
from torch import fx
from torch._guards import detect_fake_mode
from torch._ops import HigherOrderOperator, OpOverload
from torch.export import ExportedProgram
from torch.fx.experimental.proxy_tensor import make_fx

Decompositions = Mapping[Any, Callable[..., Any]]
"""Operators that have no translation to ONNX, and functions that compute the same with others."""
COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd
TRANSLATED = frozenset({torch.ops.aten.reshape.default})
"""Composite operators that return a view and have a translation all the same."""

Told = Callable[[str], None]
"""Called with the part of the tracing that begins now."""


def untold(part: str) -> None:
    """Tells nobody."""


@contextmanager
def quickened(tell: Told) -> Iterator[None]:
    """While the block runs, `torch.onnx.export` is quicker and tells its parts."""
    decompose_all: Any = ExportedProgram.run_decompositions
    rewrite: Any = pattern.RewriteRule.try_rewrite

    def decomposed(program: ExportedProgram, table: Decompositions) -> ExportedProgram:
        tell("decomposing")
        result: ExportedProgram = program if decompose(program, table) else decompose_all(program, table)
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


def decompose(program: ExportedProgram, table: Decompositions) -> bool:
    """Replaces, in place, each operator that has no translation to ONNX by what it decomposes to.

    A network has a few of them, and torch runs all of it twice, with symbolic sizes, to find the same.

    Returns:
        False, and nothing is changed, if an operator changes a tensor in place, or a piece brings constants of its own.
    """
    graph = program.graph_module.graph
    calls = [node for node in graph.nodes if node.op == "call_function"]
    sizes = detect_fake_mode([node.meta.get("val") for node in graph.nodes])
    if sizes is None or any(mutates(node.target) for node in calls):
        return False
    with sizes:
        pieces = {node: piece(node, table) for node in calls if decomposes(node.target, table)}
    if any(node.op == "get_attr" for each in pieces.values() for node in each.nodes):
        return False
    # From the end, so that the inputs of a node are still those that its piece was traced for.
    for node, each in reversed(pieces.items()):
        splice(graph, node, each)
    (output,) = (node for node in graph.nodes if node.op == "output")
    for spec, value in zip(program.graph_signature.output_specs, output.args[0], strict=True):
        if isinstance(value, fx.Node):
            spec.arg.name = value.name
    return True


def mutates(target: Any) -> bool:
    """Whether an operator may change a tensor in place."""
    return isinstance(target, HigherOrderOperator) or (isinstance(target, OpOverload) and target._schema.is_mutable)


def decomposes(target: Any, table: Decompositions) -> bool:
    """Whether an operator has no translation to ONNX. What computes sizes is no operator, and is translated."""
    if not isinstance(target, OpOverload) or target in TRANSLATED:
        return False
    # torch's table leaves out composite operators that return a view; torch decomposes those in any case.
    views = any(value.alias_info is not None for value in target._schema.returns)
    return target in table or (views and target.has_kernel_for_dispatch_key(COMPOSITE))


def piece(node: fx.Node, table: Decompositions) -> fx.Graph:
    """What an operator decomposes to for its arguments; a placeholder for each of `node.all_input_nodes`."""

    def call(*values: Any) -> Any:
        value_of = dict(zip(node.all_input_nodes, values, strict=True))
        args, options = fx.map_arg((node.args, node.kwargs), value_of.__getitem__)
        assert callable(node.target)
        return node.target(*args, **options)

    traced = make_fx(call, decomposition_table=dict(table))(*(each.meta["val"] for each in node.all_input_nodes))
    return traced.graph


def splice(graph: fx.Graph, node: fx.Node, piece: fx.Graph) -> None:
    """Puts a piece in the place of a node."""
    placeholders = [each for each in piece.nodes if each.op == "placeholder"]
    value_of = dict(zip(placeholders, node.all_input_nodes, strict=True))
    with graph.inserting_before(node):
        result: Any = graph.graph_copy(piece, value_of)
    if isinstance(result, fx.Node):
        node.replace_all_uses_with(result)
    else:
        # An operator of several results, which other nodes take one by one.
        for user in list(node.users):
            index: Any = user.args[1]
            user.replace_all_uses_with(result[index])
            graph.erase_node(user)
    graph.erase_node(node)
