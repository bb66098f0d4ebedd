"""What the package is from outside: its names, its weight, its version."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import backdrop

ROOT = Path(backdrop.__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

# Callers depend on these: taking one away is a breaking change, adding one is a promise.
EXPORTED = """
Accepted Adapter AdapterInfo AsyncClient BackdropError Background BorderChanges Box CacheReport CancelledError Client
CompositingMode ConflictError Credentials DeadlineExceededError EarlyDropping Erase Event Expand Fill Fit Generation
HorizontalAlignment Info InternalError InvalidRequestError Layout
Limits Margins MaskSource Model NotFoundError Options
OutputFormat OverloadedError PermissionDeniedError Picture Pipeline Priority Product
ProductReceipt Reason Receipt Relight RequestWarning Result
Scheduler Scores Settings Shadow ShadowKind Sides Snap
Stage StageStarted StepProgress StyleImage Summary SyncGeneration Task
TaskInfo TextToImage Timing UnauthenticatedError UnavailableError UnimplementedError Upscale Usage VariantDropped
VariantFinished Vary VerticalAlignment WarningReason __version__
""".split()  # noqa: SIM905


def modules_after(statement: str) -> set[str]:
    code = f"{statement}; import json, sys; sys.stdout.write(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return {name.split(".")[0] for name in json.loads(run.stdout)}


def test_exported_names_are_pinned() -> None:
    assert sorted(backdrop.__all__) == sorted(EXPORTED)
    assert all(hasattr(backdrop, name) for name in EXPORTED)


def test_importing_the_sdk_is_light() -> None:
    heavy = {"torch", "tritonclient", "redis", "onnxruntime", "typer", "rich", "numpy", "PIL", "structlog", "pydantic"}
    assert not heavy & modules_after("import backdrop, backdrop.errors")


def test_the_fake_and_the_command_line_need_no_server_package() -> None:
    servers = {"torch", "tritonclient", "redis", "onnxruntime", "tokenizers", "structlog", "pydantic"}
    assert not servers & modules_after("import backdrop.testing, backdrop.cli")


def test_the_version_is_the_packages() -> None:
    assert backdrop.__version__ == PROJECT["project"]["version"]


def test_the_wheel_holds_every_package_of_the_sdk() -> None:
    packages = {".".join(init.parent.relative_to(ROOT).parts) for init in (ROOT / "backdrop").rglob("__init__.py")}
    assert packages == set(PROJECT["tool"]["setuptools"]["packages"])
