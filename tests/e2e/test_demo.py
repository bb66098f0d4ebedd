"""`make demo`'s own command, whole: a cluster of its own, the sample product, pictures, and no process afterwards."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.cluster
def test_the_demo_makes_ranked_pictures_and_stops(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "local.demo", "--out", str(out), "--variants", "2", "--top-k", "1", "--seed", "3"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert {file.name for file in out.iterdir()} == {"1.png", "result.json", "contact_sheet.png", "logs"}
    for name in ("1.png", "result.json", "contact_sheet.png"):
        assert name in run.stdout, "it prints where everything is"

    result = json.loads((out / "result.json").read_text())
    assert result["pictures"][0]["receipt"]["max_difference"] == 0
    photo = np.asarray(Image.open(ROOT / "examples" / "product.png").convert("RGBA"))
    picture = np.asarray(Image.open(out / "1.png").convert("RGB"))
    opaque = photo[..., 3] == 255
    assert picture.shape[:2] == photo.shape[:2]
    assert (picture[opaque] == photo[..., :3][opaque]).all()
    assert "stopping" in (out / "logs" / "orchestrator.log").read_text()
