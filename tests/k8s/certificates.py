"""A certificate authority for one test, made by openssl: a client in a cluster trusts only the cluster's own."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest


def make(folder: Path, address: str) -> tuple[Path, ssl.SSLContext]:
    """A self-signed certificate for an IP address: the file to trust, and a server's context."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    certificate, key = folder / "ca.crt", folder / "ca.key"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(key), "-out", str(certificate), "-days", "1", "-subj", "/CN=kubernetes"]
    command += ["-addext", f"subjectAltName=IP:{address}"]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context
