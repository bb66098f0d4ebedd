"""`python -m export key` and `sign`: what they write is taken by the orchestrator and by the program minisign."""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from export import repository
from export.__main__ import main
from orchestrator.repository import PublicKeys, load
from orchestrator.repository.signed import SIGNATURE
from tests.orchestrator.repository.test_repository import document, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    result = tmp_path / "repository"
    result.mkdir()
    write(result, document(result))
    return result


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "release.key"
    assert main(["key", str(file), "--no-password"]) == 0
    return file


def public(key: Path) -> PublicKeys:
    return PublicKeys.read(key.with_name(f"{key.name}.pub"))


def test_a_new_key_signs_for_the_orchestrator(folder: Path, key: Path) -> None:
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert main(["sign", str(folder), "--key", str(key), "--comment", "release 8"]) == 0
    assert load(folder, keys=public(key)).signature.endswith(": release 8")
    assert main(["sign", str(folder), "--key", str(key)]) == 0
    assert "file:pipeline.json" in load(folder, keys=public(key)).signature


def test_minisign_takes_the_signature_too(folder: Path, key: Path) -> None:
    program = shutil.which("minisign")
    if program is None:
        pytest.skip("no minisign: Debian's package has it")
    assert main(["sign", str(folder), "--key", str(key)]) == 0
    command = [program, "-V", "-H", "-p", f"{key}.pub", "-m", str(folder / "pipeline.json")]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert subprocess.run([program, "-S", "-W", "-s", str(key), "-m", str(folder / "pipeline.json")], check=False)
    assert load(folder, keys=public(key)).signature, "and its own, by the same key, is taken"


def test_a_key_with_a_password(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key, password, wrong = tmp_path / "release.key", tmp_path / "password", tmp_path / "wrong"
    password.write_text("secret\n")
    wrong.write_text("guess\n")
    assert main(["key", str(key), "--password-file", str(password)]) == 0
    assert main(["sign", str(folder), "--key", str(key), "--password-file", str(wrong)]) == 1
    assert "wrong password" in capsys.readouterr().err
    assert not (folder / SIGNATURE).exists()
    assert main(["sign", str(folder), "--key", str(key), "--password-file", str(password)]) == 0
    assert load(folder, keys=public(key)).signature


def test_a_key_is_never_written_over(key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = key.read_bytes()
    assert main(["key", str(key), "--no-password"]) == 1
    assert "File exists" in capsys.readouterr().err
    assert key.read_bytes() == before


def test_what_is_not_as_listed_is_not_signed(folder: Path, key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "denoiser" / "1" / "extra.bin").write_bytes(b"x")
    assert main(["sign", str(folder), "--key", str(key)]) == 1
    assert "extra.bin is not in the signed pipeline.json" in capsys.readouterr().err
    (folder / "denoiser" / "1" / "extra.bin").unlink()
    (folder / "denoiser" / "1" / "model.onnx").write_bytes(b"y")
    assert main(["sign", str(folder), "--key", str(key)]) == 1
    assert "model.onnx has sha256:" in capsys.readouterr().err
    assert not (folder / SIGNATURE).exists()


def test_a_changed_repository_loses_its_signature(folder: Path, key: Path) -> None:
    assert repository.SIGNATURE == SIGNATURE
    assert main(["sign", str(folder), "--key", str(key)]) == 0
    content = repository.read_pipelines(folder)
    with repository.staged(folder) as staging:
        shutil.copytree(folder, staging, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.minisig"))
    assert not (folder / SIGNATURE).exists()
    assert main(["sign", str(folder), "--key", str(key)]) == 0
    repository.write_pipelines_file(folder, content)
    assert not (folder / SIGNATURE).exists()
