"""The generated code is what the protos say, and the protos are clean."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_generated_code_is_current(tmp_path: Path) -> None:
    protos = sorted((ROOT / "protos/backdrop/v1").glob("*.proto"))
    outputs = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")]
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'protos'}", *outputs, *map(str, protos)]
    subprocess.run(command, check=True)
    fresh = {file.name: file.read_text() for file in (tmp_path / "backdrop/v1").iterdir()}
    committed = {file.name: file.read_text() for file in (ROOT / "backdrop/v1").glob("*_pb2*")}
    assert fresh.keys() == committed.keys(), "run `make protos`"
    assert [name for name in fresh if fresh[name] != committed[name]] == [], "protos changed: run `make protos`"


def test_buf_lint_is_clean() -> None:
    buf = Path(sys.executable).with_name("buf")
    run = subprocess.run([str(buf), "lint"], cwd=ROOT / "protos", capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout + run.stderr) == (0, "")
