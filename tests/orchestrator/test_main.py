"""The composition root as a process: what is wrong with its settings is said before anything is waited for."""

import os
import subprocess
import sys
from pathlib import Path

import minisign

from tests.orchestrator.repository.test_repository import document, write

ROOT = Path(__file__).resolve().parents[2]


def start(repository: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Runs an orchestrator that finds no Triton, until it has ended."""
    named = {"BACKDROP_REPOSITORY": str(repository), "BACKDROP_TRITON_ENDPOINTS": "127.0.0.1:1", **settings}
    command = [sys.executable, "-m", "orchestrator"]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **named}, capture_output=True, text=True, check=False, timeout=60
    )


def test_an_unknown_default_pipeline_is_refused_at_the_start(tmp_path: Path) -> None:
    write(tmp_path, document(tmp_path))
    done = start(tmp_path, BACKDROP_DEFAULT_PIPELINE="other")
    assert done.returncode == 1
    assert "BACKDROP_DEFAULT_PIPELINE is 'other'" in done.stderr
    assert "has p" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("unsigned models are served") == 1


def test_an_unsigned_repository_is_refused_if_there_are_keys(tmp_path: Path) -> None:
    folder, keys = tmp_path / "repository", tmp_path / "keys.pub"
    folder.mkdir()
    write(folder, document(folder))
    keys.write_bytes(bytes(minisign.KeyPair.generate().public_key))
    done = start(folder, BACKDROP_REPOSITORY_KEYS_FILE=str(keys))
    assert done.returncode == 1
    assert f"{folder}/pipeline.json.minisig is not there, and {keys} requires a signature" in done.stderr
    assert "unsigned models are served" not in done.stderr
    assert "Traceback" not in done.stderr
