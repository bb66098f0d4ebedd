"""Every query of the dashboard runs in a real Prometheus that scraped a real run, and answers with a series."""

from __future__ import annotations

import contextlib
import json
import math
import re
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.ports import HOST, free_ports
from tests.k8s import scrapes
from tests.k8s.rendering import ROOT
from tests.k8s.rules import GROUPS
from tests.k8s.test_monitoring import FOLDER

DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
SILENT = {
    "Utilisation": "the recorded machine has no GPU",
    "Memory in use": "the recorded machine has no GPU",
    "Power": "the recorded machine has no GPU",
    "Calls that failed, by replica": "no call failed in the recorded run",
}
"""Panels without a series here, and why."""


class Prometheus:
    """A running server."""

    def __init__(self, port: int) -> None:
        self._url = f"http://{HOST}:{port}/api/v1/query"

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query.

        Raises:
            urllib.error.HTTPError: Prometheus refuses the expression.
        """
        url = f"{self._url}?{urllib.parse.urlencode({'query': expression})}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            body = json.loads(answer.read())
        assert body["status"] == "success"
        result: list[dict[str, Any]] = body["data"]["result"]
        return result


class Exports(BaseHTTPRequestHandler):
    """Serves /SOURCE: at first what it exported after the first pictures, then what after the second."""

    protocol_version = "HTTP/1.1"
    number = 1
    scraped: set[str] = set()  # noqa: RUF012  # of the class, as `number` is

    def do_GET(self) -> None:
        source = self.path.removeprefix("/")
        body = scrapes.file(source, Exports.number).read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        Exports.scraped.add(f"{source} {Exports.number}")

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    binary = shutil.which("prometheus")
    if binary is None:
        pytest.skip("no prometheus: install Debian's package `prometheus`")
    folder = tmp_path_factory.mktemp("prometheus")
    with ThreadingHTTPServer((HOST, 0), Exports) as exports:
        threading.Thread(target=exports.serve_forever, daemon=True).start()
        (port,) = free_ports(1)
        command = [binary, f"--config.file={configured(folder, exports.server_port)}", "--log.level=error"]
        command += [f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={HOST}:{port}"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        server = Prometheus(port)
        try:
            for Exports.number in scrapes.TIMES:
                until(lambda: len(Exports.scraped) == Exports.number * len(scrapes.SOURCES))
            # The last rule has read what the last scrape brought.
            until(
                lambda: bool(server.query("backdrop:errors:ratio_rate3d and on (namespace) backdrop:rows:per_replica"))
            )
            yield server
        finally:
            process.kill()
            process.wait()
            exports.shutdown()


def configured(folder: Path, port: int) -> Path:
    """Writes Prometheus' configuration, with the component's rules and the labels that PodMonitors add."""
    often = "200ms"
    groups = [{key: value for key, value in group.items() if key != "interval"} for group in GROUPS]
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
    jobs = [
        {
            "job_name": source,
            "metrics_path": f"/{source}",
            "static_configs": [
                {"targets": [f"{HOST}:{port}"], "labels": {"namespace": "backdrop", "pod": f"{source}-0"}}
            ],
        }
        for source in scrapes.SOURCES
    ]
    times = {"scrape_interval": often, "scrape_timeout": often, "evaluation_interval": often}
    config = folder / "prometheus.yaml"
    config.write_text(yaml.safe_dump({"global": times, "rule_files": ["rules.yaml"], "scrape_configs": jobs}))
    return config


def until(holds: Any) -> None:
    """Waits for something at most half a minute."""
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(urllib.error.URLError):
            if holds():
                return
        assert time.monotonic() < deadline, "Prometheus did not scrape"
        time.sleep(0.05)


def filled(expression: str) -> str:
    """A panel's expression with the values of the dashboard's variables: one namespace, all pipelines."""
    values = {"namespace": "backdrop", "pipeline": ".*", "__rate_interval": "1m"}
    return re.sub(r"\$(\w+)", lambda match: values[match[1]], expression)


def test_every_panel_answers_with_a_series(prometheus: Prometheus) -> None:
    errors, empty, nameless = [], set(), []
    for panel in PANELS:
        for target in panel["targets"]:
            try:
                series = prometheus.query(filled(target["expr"]))
            except urllib.error.HTTPError as problem:
                errors.append(f"{panel['title']}: {problem.read().decode()}")
                continue
            if not [one for one in series if math.isfinite(float(one["value"][1]))]:
                empty.add(panel["title"])
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            nameless += [panel["title"] for one in series if not shown <= one["metric"].keys()]
    assert errors == []
    assert empty == set(SILENT)
    assert nameless == [], "the legend names a label that the series lacks"


def test_every_variable_has_values(prometheus: Prometheus) -> None:
    queries = [variable["query"] for variable in DASHBOARD["templating"]["list"] if variable["type"] == "query"]
    assert len(queries) == 2
    for query in queries:
        series, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", query).groups()  # type: ignore[union-attr]
        assert prometheus.query(f'{series}{{{label}!=""}}')


def test_wrong_queries_are_seen(prometheus: Prometheus) -> None:
    assert prometheus.query("backdrop_request_total") == []
    with pytest.raises(urllib.error.HTTPError):
        prometheus.query("sum by (status (backdrop_requests_total)")


def test_the_recorded_run_has_no_series_that_the_source_lost() -> None:
    # A new series is no reason for a new recording before a panel reads it.
    recorded = set(re.findall(r"^# TYPE (backdrop_\w+) ", scrapes.file("orchestrator", 2).read_text(), re.M))
    sources = "".join(file.read_text() for file in (ROOT / "orchestrator").rglob("*.py"))
    lost = {name for name in recorded if not name.endswith("_created") and f'"{name}"' not in sources}
    assert recorded
    assert lost == set(), "run `python -m tests.k8s.scrapes`"
