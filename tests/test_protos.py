"""The generated code is what the protos say, the protos are clean, and no change breaks the contract's baseline."""

import shutil
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


def buf(folder: Path, *arguments: str) -> tuple[int, str]:
    """The exit status and the output of buf in a folder."""
    command = [str(Path(sys.executable).with_name("buf")), *arguments]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return run.returncode, run.stdout + run.stderr


def test_buf_lint_is_clean() -> None:
    assert buf(ROOT / "protos", "lint") == (0, "")


def test_the_contract_breaks_nothing_of_its_baseline() -> None:
    assert buf(ROOT / "protos", "breaking", "--against", "baseline.binpb") == (0, "")


def test_a_breaking_change_is_seen(tmp_path: Path) -> None:
    protos = shutil.copytree(ROOT / "protos", tmp_path / "protos")
    file = protos / "backdrop/v1/generation_service.proto"
    text = file.read_text()
    assert "uint32 variants = 1;" in text
    file.write_text(text.replace("uint32 variants = 1;", "uint32 variants = 9;"))
    status, output = buf(protos, "breaking", "--against", "baseline.binpb")
    assert status != 0
    assert "variants" in output
