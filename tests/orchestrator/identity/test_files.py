"""The files of identities: what is wrong is said by its path, and what was read stays until something better comes."""

from __future__ import annotations

import datetime
import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from backdrop.contract.loopback import is_loopback
from backdrop.errors import UnauthenticatedError
from orchestrator.api.tls import TlsFiles, names_of, server_credentials
from orchestrator.identity.access import Access
from orchestrator.identity.authenticator import Authenticator
from orchestrator.identity.files import IdentityError, WatchedFiles
from orchestrator.identity.jwks import KeyLocation, KeySource
from orchestrator.identity.keys import KeyFile, new_key
from orchestrator.settings import faults
from tests.certificates import Authority, TokenIssuer, replace
from tests.orchestrator.small import server_settings

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
ISSUER = '[[issuers]]\nname="c"\nissuer="https://i.example"\naudience="backdrop"\njwks="{jwks}"\nalgorithms=["{algorithm}"]\n'


def access(text: str, folder: Path) -> Access:
    return Access.read(replace(folder / "access.toml", text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules = 5", "rules: "),
        ("[[rules]]\ncertificate='CN:a'\nscopes=['info']", "(?P<tenant>"),
        ("[[rules]]\ncertificate='CN:a'\ntenant='anonymous'\nscopes=['info']", "rules.0.tenant"),
        ("[[rules]]\ncertificate='CN:a'\ntenant='a'\nscopes=['all']", "scopes are generate, info, admin"),
        ("[[rules]]\ncertificate='CN:a'\ntenant='a'\nscopes=['info:x']", "generate:PIPELINE"),
        ("[[rules]]\ncertificate='CN:a'\ntenant='a'\nscopes=[]", "rules.0.scopes"),
        ("[[rules]]\nsubject='a'\ntenant='a'\nscopes=['info']", "either"),
        ("[[rules]]\nissuer='c'\nsubject='a'\ntenant='a'\nscopes=['info']", "not among the issuers"),
        ("[[rules]]\ncertificate='CN:('\ntenant='a'\nscopes=['info']", "rules.0.certificate"),
        (ISSUER.format(jwks="http://keys.example/jwks", algorithm="RS256"), "https URL"),
        (ISSUER.format(jwks="http://127.0.0.1:1@keys.example/jwks", algorithm="RS256"), "https URL"),
        (ISSUER.format(jwks="/k", algorithm="HS256"), "algorithms are RS256"),
        (ISSUER.format(jwks="/k", algorithm="none"), "algorithms are RS256"),
        (ISSUER.format(jwks="/k", algorithm="RS256") * 2, "two issuers"),
        ("[[issuers", "at end of document"),
    ],
)
def test_faults_of_the_access_file_are_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"(?s).+") as caught:
        access(text, tmp_path)
    assert said in str(caught.value)


def test_a_pattern_matches_whole_names_alone(tmp_path: Path) -> None:
    rules = access("[[rules]]\ncertificate='CN:(?P<tenant>[a-z]+)'\nscopes=['info']", tmp_path)
    assert [bool(rules.by_certificate([name])) for name in ("CN:shop", "CN:shop.evil", "DNS:shop", "xCN:shop")] == [
        *(True, False, False, False)
    ]


def test_names_say_their_kind() -> None:
    context = {"x509_common_name": [b"a", b"\xff"], "peer_dns": [b"b", b"c\n"], "peer_uri": [b"spiffe://d"]}
    assert names_of(context) == ("CN:a", "URI:spiffe://d", "DNS:b")


def test_keys_are_compared_by_their_hash(tmp_path: Path) -> None:
    token, key = new_key("ci", "shop", ("info",), NOW)
    keys = KeyFile([key])
    assert key.sha256 not in token
    caller = keys.caller(token, NOW - datetime.timedelta(seconds=1))
    assert (caller.tenant, caller.name, caller.scopes) == ("shop", "key:ci", {"info"})
    for wrong in (token[:-1], token + "A", token.upper(), key.sha256, "", "bdk_ci."):
        with pytest.raises(UnauthenticatedError, match="not valid here"):
            keys.caller(wrong, NOW - datetime.timedelta(seconds=1))
    with pytest.raises(UnauthenticatedError, match="expired"):
        keys.caller(token, NOW)
    with pytest.raises(ValueError, match="same name"):
        KeyFile([key, key])
    path = replace(tmp_path / "keys.json", '{"keys": [{"name": "ci", "sha256": "secret-by-mistake"}]}')
    with pytest.raises(ValueError, match=r"keys\.0\.sha256") as caught:
        KeyFile.read(path)
    assert "secret-by-mistake" not in str(caught.value)


def test_the_command_makes_a_key_that_is_taken() -> None:
    command = [sys.executable, "-m", "orchestrator.identity.keys", "ci", "--tenant", "shop", "--scope", "info"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    file = KeyFile.read(_file(done.stderr.splitlines()[-1]))
    assert file.caller(done.stdout.strip(), NOW).tenant == "shop"


def _file(entry: str) -> Any:
    class Memory:
        def read_bytes(self) -> bytes:
            return f'{{"keys": [{entry}]}}'.encode()

    return Memory()


def test_a_changed_file_is_read_and_a_faulty_one_is_not(tmp_path: Path) -> None:
    path = replace(tmp_path / "number", "1")
    files = WatchedFiles("BACKDROP_X", lambda path: int(path.read_text()), path)
    assert (files.refresh(), files.value) == (False, 1)
    replace(path, "2")
    assert (files.refresh(), files.refresh(), files.value) == (True, False, 2)
    replace(path, "three")
    assert (files.refresh(), files.value) == (False, 2)
    path.unlink()
    assert (files.refresh(), files.value) == (False, 2)
    replace(path, "4")
    assert (files.refresh(), files.value) == (True, 4)
    with pytest.raises(IdentityError, match="BACKDROP_X: "):
        WatchedFiles("BACKDROP_X", lambda path: int(path.read_text()), tmp_path / "none")


def test_a_key_without_its_certificate_is_not_taken_over(tmp_path: Path) -> None:
    authority = Authority()
    certificate, key = authority.issue("a").write(tmp_path, "a")
    assert server_credentials(TlsFiles(certificate, key))
    for path, content, said in (
        (key, authority.issue("b").key, "not the certificate"),
        (key, b"nothing", "no private key"),
        (certificate, b"nothing", "no private key"),
    ):
        replace(path, content)
        with pytest.raises(IdentityError, match=said):
            server_credentials(TlsFiles(certificate, key))
    with pytest.raises(IdentityError, match="no certificate"):
        server_credentials(TlsFiles(certificate, authority.issue("c").write(tmp_path, "c")[1]))


def test_what_cannot_be_private_does_not_start(tmp_path: Path) -> None:
    def fault(**changes: Any) -> str:
        with pytest.raises(ValidationError) as caught:
            server_settings(tmp_path, **changes)
        (sentence,) = faults(caught.value)
        return sentence

    file, public = tmp_path / "file", "0.0.0.0:0"
    assert "BACKDROP_ALLOW_ANONYMOUS" in fault(listen=public)
    assert "BACKDROP_ALLOW_ANONYMOUS" in fault(listen=public, tls_cert_file=file, tls_key_file=file)
    assert "BACKDROP_ALLOW_PLAINTEXT_TOKENS" in fault(listen=public, token_keys_file=file)
    assert "both or none" in fault(tls_cert_file=file)
    assert "rules in BACKDROP_ACCESS_FILE" in fault(tls_cert_file=file, tls_key_file=file, tls_client_ca_file=file)
    assert server_settings(tmp_path).serves_reflection
    assert not server_settings(tmp_path, token_keys_file=file).serves_reflection
    assert not server_settings(tmp_path, listen=public, allow_anonymous=True).serves_reflection


@pytest.mark.parametrize(
    ("address", "answer"),
    [
        ("127.0.0.1:1", True), ("127.8.0.1:1", True), ("[::1]:1", True), ("localhost:1", True), ("unix:/x", True),
        ("dns:///localhost:1", True), ("ipv4:127.0.0.1:1,127.0.0.2:1", True), ("ipv4:127.0.0.1:1,10.0.0.1:1", False),
        ("0.0.0.0:1", False), ("[::]:1", False), ("10.0.0.1:1", False), ("localhost.example.com:1", False),
        ("127.0.0.1.example.com:1", False), ("vsock:1:2", False), ("xds:///a", False), ("dns://8.8.8.8/host:1", False),
    ],
)  # fmt: skip
def test_loopback(address: str, answer: bool) -> None:
    assert is_loopback(address) is answer


class Jwks(http.server.BaseHTTPRequestHandler):
    """Answers with the server's `content`, and counts; a redirect if there is none."""

    def do_GET(self) -> None:
        server: Any = self.server
        server.seen.append(self.headers.get("Authorization"))
        self.send_response(200 if server.content else 302)
        self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        self.end_headers()
        self.wfile.write(server.content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def provider() -> Iterator[Any]:
    """A provider of keys, over HTTP on loopback."""
    server: Any = http.server.HTTPServer(("127.0.0.1", 0), Jwks)
    server.content, server.seen = TokenIssuer().jwks().encode(), []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_keys_behind_a_url_are_fetched_seldom_and_kept_while_it_is_away(provider: Any, tmp_path: Path) -> None:
    now = 1000.0
    token = replace(tmp_path / "token", "of the server\n")
    location = KeyLocation(jwks=f"http://127.0.0.1:{provider.server_port}/keys", token_file=token)
    source = KeySource(location, lambda: now)
    assert (source.refresh(), source.refresh(), source.refresh(unknown_key=True)) == (True, False, False)
    assert provider.seen == ["Bearer of the server"]
    first, provider.content = source.keys, TokenIssuer().jwks().encode()
    now += 6
    assert (source.refresh(), source.refresh(unknown_key=True)) == (False, True)
    assert source.keys not in (None, first)
    latest = source.keys
    for content in (b"", b"{}", b"[]", b'{"keys": []}', b"\xff", b'{"keys": [{"kty": "EC"}]}', b"x" * (1 << 21)):
        provider.content = content
        now += 301
        assert (source.refresh(), source.keys) == (False, latest)
    assert len(provider.seen) == 9


async def test_a_file_without_keys_ends_the_start(tmp_path: Path) -> None:
    file = replace(tmp_path / "access.toml", ISSUER.format(jwks=tmp_path / "none.json", algorithm="RS256"))
    with pytest.raises(IdentityError, match=r"none\.json"):
        await Authenticator(None, file).open()
