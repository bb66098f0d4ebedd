"""Nothing is unpickled: a pickle runs code when it is read. Weights are safetensors, messages JSON or protobuf."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("backdrop", "orchestrator", "export", "local", "training", "bench", "k8s", "examples", "tests")

MODULES = {"pickle", "_pickle", "cloudpickle", "dill", "joblib", "jsonpickle", "marshal", "shelve", "multiprocessing"}
"""They read pickles, or bytecode; what processes of `multiprocessing` send each other is pickled too."""
CALLS = {
    "concurrent.futures.ProcessPoolExecutor": "pickles what it sends to its processes",
    "torch.jit.load": "reads TorchScript, whose archive holds pickles",
    "torch.hub.load": "runs code of a repository",
}
OWN_PROCESSES = "only between a process and the children that it started itself"
REASONS = {
    ("bench/field_load.py", "multiprocessing"): OWN_PROCESSES,
    ("bench/field_load.py", "concurrent.futures.ProcessPoolExecutor"): OWN_PROCESSES,
    ("training/data/shards.py", "multiprocessing"): OWN_PROCESSES,
    ("tests/field/test_clients.py", "multiprocessing"): OWN_PROCESSES,
    ("tests/orchestrator/triton/test_shared_memory.py", "multiprocessing"): OWN_PROCESSES,
    ("export/convert.py", "from_single_file"): "the file's header was read as that of safetensors before",
    ("export/tokenizer.py", "from_pretrained"): "a tokenizer: JSON and text",
    ("export/walk/denoise.py", "from_pretrained"): "a scheduler: JSON",
    ("training/encoders/tokenizer.py", "from_pretrained"): "a tokenizer: JSON and text",
    ("training/evaluation/reference.py", "from_pretrained"): "tokenizers and a scheduler: JSON and text",
}
"""What stands nevertheless, by file, and why it reads nobody else's pickle."""


def aliases(tree: ast.AST) -> dict[str, str]:
    """The dotted name of each name that a file imports."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def dotted(node: ast.expr, names: Mapping[str, str]) -> str:
    """The full name of what is called; "" for what has none."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        before = dotted(node.value, names)
        return f"{before}.{node.attr}" if before else node.attr
    return ""


def constant(call: ast.Call, keyword: str) -> object:
    """The literal value of an argument; ... if it is no literal, None if it is not there."""
    for argument in call.keywords:
        if argument.arg == keyword:
            return argument.value.value if isinstance(argument.value, ast.Constant) else ...
    return None


def of_call(call: ast.Call, names: Mapping[str, str]) -> Iterator[str]:
    """What a call may unpickle."""
    name = dotted(call.func, names)
    if name in CALLS:
        yield name
    if name == "torch.load" and constant(call, "weights_only") is not True:
        yield "torch.load without weights_only=True"
    if constant(call, "allow_pickle") not in (None, False):
        yield "allow_pickle"
    if name.endswith("from_single_file"):
        yield "from_single_file"
    if name.endswith("from_pretrained") and constant(call, "use_safetensors") is not True:
        yield "from_pretrained"
    if name in ("importlib.import_module", "__import__") and call.args:
        module = call.args[0].value if isinstance(call.args[0], ast.Constant) else ""
        if str(module).partition(".")[0] in MODULES:
            yield str(module)


def unpickling(tree: ast.AST) -> Iterator[str]:
    """What a file has that may unpickle."""
    names = aliases(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (top for alias in node.names if (top := alias.name.partition(".")[0]) in MODULES)
        elif isinstance(node, ast.ImportFrom):
            yield from [top] if (top := str(node.module).partition(".")[0]) in MODULES else []
        elif isinstance(node, ast.Call):
            yield from of_call(node, names)


def places(rooms: tuple[str, ...] = ROOMS) -> set[tuple[str, str]]:
    """Each file with what it has; in tests, `from_pretrained` reads only what the test has written."""
    return {
        (name, what)
        for room in rooms
        for file in sorted((ROOT / room).rglob("*.py"))
        for name in [file.relative_to(ROOT).as_posix()]
        for what in unpickling(ast.parse(file.read_text()))
        if not (room == "tests" and what == "from_pretrained")
    }


def test_nothing_is_unpickled() -> None:
    against = places()
    assert sorted(against - REASONS.keys()) == []
    assert sorted(REASONS.keys() - against) == [], "these reasons have no place any more"


def test_the_server_pickles_nothing_at_all() -> None:
    assert not any(name.startswith(("backdrop/", "orchestrator/", "local/")) for name, _ in REASONS)


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("import pickle", "pickle"),
        ("from joblib import load", "joblib"),
        ("import importlib\nimportlib.import_module('dill')", "dill"),
        ("import torch\ntorch.load(p)", "torch.load without weights_only=True"),
        ("import torch as t\nt.load(p, weights_only=False)", "torch.load without weights_only=True"),
        ("from torch import load\nload(p, weights_only=flag)", "torch.load without weights_only=True"),
        ("import numpy as np\nnp.load(p, allow_pickle=True)", "allow_pickle"),
        ("from multiprocessing import Pool", "multiprocessing"),
        ("from concurrent import futures\nfutures.ProcessPoolExecutor()", "concurrent.futures.ProcessPoolExecutor"),
        ("Model.from_pretrained(p, use_safetensors=False)", "from_pretrained"),
    ],
)
def test_each_way_to_unpickle_is_found(source: str, what: str) -> None:
    assert list(unpickling(ast.parse(source))) == [what]


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ntorch.load(p, weights_only=True)",
        "import numpy as np\nnp.load(p)\nnp.load(p, allow_pickle=False)",
        "import json\njson.load(p)",
        "Model.from_pretrained(p, use_safetensors=True)",
    ],
)
def test_what_is_safe_is_not_reported(source: str) -> None:
    assert list(unpickling(ast.parse(source))) == []
