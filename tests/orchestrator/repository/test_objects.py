"""Repositories from object stores: a folder's URL, and an S3 that is spoken to as one."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.repository import RepositoryError, load, store
from tests.orchestrator.repository.test_repository import document, write


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "bucket" / "name"
    folder.mkdir(parents=True)
    write(folder, document(folder))
    return folder


@pytest.fixture
def s3(source: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The bucket behind an S3 endpoint; the paths that were asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            file = source.parent.parent / self.path.lstrip("/")
            if "AWS4-HMAC-SHA256" not in self.headers.get("Authorization", ""):
                self.send_error(403)
            elif not file.is_file():
                self.send_error(404)
            else:
                content = file.read_bytes()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.send_header("ETag", '"1"')
                self.send_header("Last-Modified", "Fri, 27 Nov 2026 00:00:00 GMT")
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_address[1]}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "nowhere",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }.items():
        monkeypatch.setenv(name, value)
    yield asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_repository_comes_from_a_url(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "repository"
    assert store.main(["publish", "--from", source.as_uri(), "--to", str(target)]) == 0
    assert load(target).pipelines.keys() == load(source).pipelines.keys()
    assert store.publish(source.as_uri(), target) == f"{target} is there already"


def test_a_repository_comes_from_s3(s3: list[str], source: Path, tmp_path: Path) -> None:
    target = tmp_path / "repository"
    assert store.main(["publish", "--from", "s3://bucket/name", "--to", str(target)]) == 0
    assert load(target).pipelines.keys() == load(source).pipelines.keys()
    assert s3[0] == "/bucket/name/pipeline.json"


def test_what_is_missing_is_named(s3: list[str], source: Path, tmp_path: Path) -> None:
    (source / "denoiser" / "1" / "model.onnx").unlink()
    with pytest.raises(RepositoryError, match=r"s3://bucket/name/denoiser/1/model\.onnx"):
        store.publish("s3://bucket/name", tmp_path / "repository")
    assert not (tmp_path / "repository").exists()


def test_what_arrives_damaged_gets_no_name(source: Path, tmp_path: Path) -> None:
    (source / "denoiser" / "1" / "model.onnx").write_bytes(b"y")
    with pytest.raises(RepositoryError, match=r"pipeline\.json says"):
        store.publish(source.as_uri(), tmp_path / "repository")
    assert not (tmp_path / "repository").exists()


@pytest.mark.parametrize("name", ["../../etc/x", "/etc/x"])
def test_no_file_leads_out_of_the_folder(source: Path, tmp_path: Path, name: str) -> None:
    content = json.loads((source / "pipeline.json").read_text())
    content["models"]["denoiser"]["files"][name] = "sha256:0"
    if name.startswith("/"):
        content["models"][name] = content["models"].pop("denoiser")
    (source / "pipeline.json").write_text(json.dumps(content))
    with pytest.raises(RepositoryError, match="no file of a repository"):
        store.publish(source.as_uri(), tmp_path / "repository")


def test_a_store_that_does_not_answer_is_named(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="file://"):
        store.publish((tmp_path / "nothing").as_uri(), tmp_path / "repository")
