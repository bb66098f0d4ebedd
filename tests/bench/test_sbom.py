"""Bills of materials: what CycloneDX makes of a lock is current, and stops being so when the lock changes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from bench import sbom
from bench.figures import ROOT
from bench.locks import image_locks, read

LOCK = next(lock for lock in image_locks() if lock.stem == "engine-builder")


def bill(folder: Path) -> Path:
    """A bill of the lock, in the parts of CycloneDX that are compared."""
    components = [
        {
            "name": pin.name,
            "version": pin.version,
            "externalReferences": [{"hashes": [{"alg": "SHA-256", "content": each} for each in pin.hashes]}],
        }
        for pin in read(LOCK)
    ]
    file = folder / f"{LOCK.stem}.json"
    file.write_text(json.dumps({"bomFormat": "CycloneDX", "components": components}))
    return file


def test_a_bill_of_another_lock_is_not_current(tmp_path: Path) -> None:
    file, lock = bill(tmp_path), tmp_path / LOCK.name
    assert sbom.differences(LOCK, file) == []
    first = read(LOCK)[0]
    lock.write_text(LOCK.read_text().replace(f"{first.name}=={first.version}", f"{first.name}==0.0.1", 1))
    lacks, more = sbom.differences(lock, file)
    assert lacks.startswith(f"{file.name} has {first.name} {first.version}, {lock.name} has not")
    assert more.startswith(f"{file.name} lacks {first.name} 0.0.1")
    lock.write_text(LOCK.read_text().replace(next(iter(first.hashes)), "0" * 64))
    assert len(sbom.differences(lock, file)) == 2


def test_a_bill_that_is_missing_or_no_bill_is_not_current(tmp_path: Path) -> None:
    assert sbom.main(tmp_path) == 1
    assert sbom.differences(LOCK, tmp_path / "none.json") == ["none.json is not there; run `make sbom`"]
    (tmp_path / "none.json").write_text("[]")
    assert "is no CycloneDX document" in sbom.differences(LOCK, tmp_path / "none.json")[0]


def test_cyclonedx_names_every_package_of_an_image(tmp_path: Path) -> None:
    command = ROOT / ".venv-images" / "bin" / "cyclonedx-py"
    if not command.is_file():
        pytest.skip("no cyclonedx-bom: `make sbom` installs it")
    file = tmp_path / "bill.json"
    subprocess.run(
        [str(command), "requirements", str(LOCK), "--output-file", str(file)], check=True, capture_output=True
    )
    assert sbom.differences(LOCK, file) == []
