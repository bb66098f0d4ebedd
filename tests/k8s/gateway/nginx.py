"""nginx as a gateway on loopback: HTTP/2 to callers and to orchestrators, and nothing retried."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from local.ports import HOST, free_ports
from orchestrator.settings import Settings
from tests.k8s.gateway.timeouts import Timeouts

_MOST_BYTES = Settings.model_fields["max_request_bytes"].default
# The gateway of the manifests does not retry either: only the SDK knows which calls are safe to retry. Its pages for
# errors are HTML, which gRPC reads as UNKNOWN; proxies that know gRPC answer UNAVAILABLE by themselves.
_CONFIG = """\
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
worker_processes 1;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  client_max_body_size {most_bytes};
{temporary}
  upstream orchestrators {{
{servers}
  }}
  server {{
    listen {host}:{port} http2;
{timeouts}
    grpc_next_upstream off;
    location / {{ grpc_pass grpc://orchestrators; }}
    error_page 502 503 504 = @unavailable;
    location @unavailable {{
      internal;
      default_type application/grpc;
      add_header grpc-status 14 always;
      return 204;
    }}
  }}
}}
"""


def program() -> str:
    """The command; skips the test where it is not installed."""
    path = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if path is None:
        pytest.skip("no nginx: install Debian's package `nginx-light`")
    return path


class Nginx:
    """A running nginx."""

    def __init__(self, folder: Path, endpoints: Sequence[str], timeouts: Timeouts) -> None:
        self.folder = folder
        self._port = free_ports(1)[0]
        self.endpoint = f"{HOST}:{self._port}"
        folder.mkdir(parents=True, exist_ok=True)
        self._config, self._directives = folder / "nginx.conf", _directives(timeouts)
        self._write(endpoints)
        self._process = subprocess.Popen([program(), "-p", str(folder), "-c", str(self._config)])

    def lead_to(self, endpoints: Sequence[str]) -> None:
        """Uses other orchestrators for new calls, as a gateway does that learns of a stopping pod."""
        self._write(endpoints)
        self._process.send_signal(signal.SIGHUP)

    def effective(self) -> str:
        """The configuration as nginx itself reads it."""
        command = [program(), "-p", str(self.folder), "-c", str(self._config), "-T"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def stop(self) -> None:
        """Ends it and its workers."""
        self._process.terminate()
        self._process.wait(10)

    def wait(self) -> None:
        """Returns when it runs; raises TimeoutError if it does not."""
        deadline = time.monotonic() + 10
        while not (self.folder / "nginx.pid").exists() or not (self.folder / "nginx.pid").read_text():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise TimeoutError((self.folder / "error.log").read_text())
            time.sleep(0.01)

    def _write(self, endpoints: Sequence[str]) -> None:
        names = ("proxy", "fastcgi", "uwsgi", "scgi")
        self._config.write_text(
            _CONFIG.format(
                folder=self.folder,
                host=HOST,
                port=self._port,
                most_bytes=_MOST_BYTES,
                temporary="\n".join(f"  {name}_temp_path {self.folder}/{name};" for name in names),
                servers="\n".join(f"    server {endpoint};" for endpoint in endpoints),
                timeouts=self._directives,
            )
        )


def _directives(timeouts: Timeouts) -> str:
    """nginx bounds a stream by its silence in either direction, and not by its length."""
    names = ("grpc_read_timeout", "grpc_send_timeout", "send_timeout", "client_body_timeout")
    return "\n".join(f"    {name} {timeouts.silence_s}s;" for name in names)


@contextlib.contextmanager
def nginx(folder: Path, endpoints: Sequence[str], timeouts: Timeouts) -> Iterator[Nginx]:
    """Runs an nginx until the block ends."""
    gateway = Nginx(folder, endpoints, timeouts)
    try:
        gateway.wait()
        yield gateway
    finally:
        gateway.stop()
