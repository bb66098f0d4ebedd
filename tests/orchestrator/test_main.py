"""The composition root as a process: what is wrong with its settings is said before anything is waited for."""

import os
import subprocess
import sys
from pathlib import Path

from tests.orchestrator.repository.test_repository import document, write

ROOT = Path(__file__).resolve().parents[2]


def test_an_unknown_default_pipeline_is_refused_at_the_start(tmp_path: Path) -> None:
    write(tmp_path, document(tmp_path))
    settings = {
        "BACKDROP_REPOSITORY": str(tmp_path),
        "BACKDROP_TRITON_ENDPOINTS": "127.0.0.1:1",
        "BACKDROP_DEFAULT_PIPELINE": "other",
    }
    command = [sys.executable, "-m", "orchestrator"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **settings}, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "BACKDROP_DEFAULT_PIPELINE is 'other'" in done.stderr
    assert "has p" in done.stderr
    assert "Traceback" not in done.stderr
