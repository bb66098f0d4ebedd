"""What the marks of the architecture count, on small trees."""

import subprocess
from pathlib import Path

import pytest

from bench.architecture import pytest_seconds, recorded_figure
from bench.structure import Tree, changed_files, components, readme_figures


def test_only_tracked_files_count_and_no_generated_ones(tmp_path: Path) -> None:
    for name in ("a.py", "untracked.py", "backdrop/v1/x_pb2.py", "tests/test_a.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    for words in (["init", "--quiet"], ["add", "a.py", "backdrop", "tests"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    tree = Tree.tracked(tmp_path)
    assert set(tree.files) == {"a.py", "tests/test_a.py"}
    assert set(tree.source().files) == {"a.py"}


def test_lazy_and_type_checking_imports_make_circles_too() -> None:
    tree = Tree({
        "export/a.py": "def f():\n    from export.b import g\n",
        "export/b.py": "if TYPE_CHECKING:\n    from export import c\n",
        "export/c.py": "import export.a\n",
        "export/__init__.py": "from export.d import x\n",
        "export/d.py": "import export.a\n",
    })  # fmt: skip
    assert tree.import_circles() == [["export.a", "export.b", "export.c"]]


def test_a_package_that_exports_its_modules_is_no_circle_unless_they_import_it() -> None:
    package = {"pool/__init__.py": "from pool.wire import send\n", "pool/wire.py": "import pool.link\n"}
    assert Tree(package | {"pool/link.py": ""}).import_circles() == []
    assert Tree(package | {"pool/link.py": "from pool import send\n"}).import_circles() == [
        ["pool", "pool.link", "pool.wire"]
    ]


def test_importing_a_module_imports_its_packages() -> None:
    tree = Tree({
        "pool/__init__.py": "import stages.denoise\n", "pool/wire.py": "",
        "stages/__init__.py": "", "stages/denoise.py": "import pool.wire\n",
    })  # fmt: skip
    assert tree.import_circles() == [["pool", "stages.denoise"]]


def test_components_are_found_through_others() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set[str]()}
    assert sorted(components(graph)) == [["a"], ["b", "c"], ["d"]]


def test_sizes_count_lines_and_parameters_without_self() -> None:
    body = "\n".join(["        x = 1"] * 60)
    wide = "    def wide(self, a, b, c, d, e, f, *g, h, **i): ...\n"
    tree = Tree({"export/a.py": f"class A:\n    def long(self):\n{body}\n{wide}"})
    assert tree.long_functions() == ["export/a.py long (61)"]
    assert tree.wide_functions() == ["export/a.py wide (9)"]
    assert Tree({"a.py": "x = 1\n" * 301}).long_files() == ["a.py (301)"]


def test_the_sdks_public_calls_may_list_every_option() -> None:
    parameters = ", ".join("abcdefghij")
    text = f"def generate({parameters}): ...\ndef _build({parameters}): ...\n"
    assert Tree({"backdrop/_client.py": text}).wide_functions() == ["backdrop/_client.py _build (10)"]
    assert len(Tree({"backdrop/_request.py": text}).wide_functions()) == 2


def test_the_core_may_say_production() -> None:
    tree = Tree({
        "orchestrator/domain.py": "# production\n", "orchestrator/stages/a.py": "Product = 1\n",
        "orchestrator/imaging/b.py": "product = 1\n", "orchestrator/tasks/c.py": "product = 1\n",
    })  # fmt: skip
    assert tree.product_files() == ["orchestrator/stages/a.py"]


def test_the_type_of_tasks_is_no_description() -> None:
    tree = Tree({
        "orchestrator/tasks/__init__.py": "", "orchestrator/tasks/task.py": "class Task:\n    x = 1\n",
        "orchestrator/tasks/erase.py": "ERASE = 1\n",
    })  # fmt: skip
    assert tree.task_descriptions() == {"orchestrator/tasks/erase.py": 1}


def test_tests_docs_and_generated_code_are_no_changed_files() -> None:
    names = ["orchestrator/tasks/erase.py", "tests/a.py", "docs/tasks.md", "README.md", "backdrop/v1/a_pb2.pyi"]
    assert changed_files([*names, "protos/backdrop/v1/a.proto"]) == [names[0], "protos/backdrop/v1/a.proto"]


@pytest.mark.parametrize(("text", "count"), [
    ("<!-- generated: x -->\n| a | b |\n|---|---|\n| 1 | ≤ 2 |\n| 3 | ≥ 4 |\n<!-- end -->\n", 2),
    ("Takes 3 s (≤ 60).\n\n| not | generated |\n|---|---|\n| 1 | 2 |\n", 1),
    ("nothing\n", 0),
])  # fmt: skip
def test_figures_in_a_readme_are_generated_rows_and_marks(text: str, count: int) -> None:
    assert readme_figures(text) == count


def test_pytests_seconds_are_read_from_its_last_lines() -> None:
    output = "...\n2 passed, 1 skipped in 12.50s\nfoo in 3.00s\n== 7 passed, 2 warnings in 61.25s (0:01:01) ==\n"
    assert pytest_seconds(output) == [12.5, 61.25]


def test_a_picture_that_differs_misses_the_mark() -> None:
    assert recorded_figure(0, 20).met
    assert not recorded_figure(1, 20).met
