"""No prompt, pixel, metadata, key or password leaves the server in anything but the pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.telemetry.audit_record import AuditRecord
from tests.leaks import planted
from tests.leaks.paths import drive
from tests.leaks.site import running


@pytest.mark.parametrize("log_format", ["json", "console"])
async def test_no_path_leaks_a_secret(tmp_path: Path, log_format: str, capfd: pytest.CaptureFixture[str]) -> None:
    async with running(tmp_path, log_format) as site:
        statuses = await drive(site)
    wrong = {name: f"{seen}, not {expected}" for name, (expected, seen) in statuses.items() if seen is not expected}
    assert wrong == {}
    printed = capfd.readouterr()
    sinks = site.sinks() | {"stdout": printed.out.encode(), "stderr": printed.err.encode()}
    assert planted.search(sinks) == []
    assert planted.search_private(site.seen) == []
    assert [planted.metadata_of(picture) for picture in site.pictures if planted.metadata_of(picture)] == []
    assert planted.search({"pictures": b"".join(site.pictures)}) == []
    # The search is worth something only if the sinks hold what they are there for.
    log = sinks["logs"].decode()
    assert all(word in log for word in ("request failed", planted.FOREIGN[:11], "fault in the event loop", "redis"))
    assert b"denoise" in sinks["spans"]
    assert b"backdrop_requests_total" in sinks["metrics"]
    records = [AuditRecord.model_validate(json.loads(line)) for line in sinks["audit"].splitlines()]
    assert {record.outcome for record in records} == {"ok", "refused", "failed", "cancelled"}


@pytest.mark.parametrize("name", planted.SECRETS)
def test_the_search_sees_each_secret_in_each_form(name: str) -> None:
    secret = planted.SECRETS[name]
    for text in (f"x {secret} y", secret[:15], secret.encode().hex(), repr(secret.encode())):
        assert planted.search({"sink": text.encode()}) == [f"{name} in sink"]


@pytest.mark.parametrize(
    "text", ["[[201, 17, 93], [201", "[[201 17 93]", "201, 201, 201, 201", "0.5764706", b"\xc9\x11\x5d\xc9\x11\x5d"]
)
def test_the_search_sees_pixels(text: str | bytes) -> None:
    data = text if isinstance(text, bytes) else text.encode()
    assert planted.search({"sink": b"before " + data}) == ["pixels in sink"]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_pictures_are_planted_with_metadata(kind: str) -> None:
    assert "metadata in file" in planted.search({"file": repr(planted.metadata_of(planted.product(kind))).encode()})
