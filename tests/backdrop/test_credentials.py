"""What clients show to servers: tokens and certificates, from files that rotate, and never in plain text to others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

import backdrop
from backdrop import Credentials
from backdrop.testing import FakeBackdrop
from tests.backdrop.command_line import run
from tests.certificates import Authority, replace

TOKENS = {"all": ("generate", "info"), "reader": ("info",), "one": ("generate:style", "info")}
TASK = backdrop.TextToImage()


@pytest.fixture
def guarded() -> Iterator[FakeBackdrop]:
    with FakeBackdrop(tokens=TOKENS) as fake:
        yield fake


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def mutual(authority: Authority) -> Iterator[FakeBackdrop]:
    """A fake with TLS that asks for client certificates and for a token."""
    pair = authority.issue("server")
    credentials = grpc.ssl_server_credentials([(pair.key, pair.certificate)], authority.certificate, True)
    with FakeBackdrop(tokens=TOKENS, credentials=credentials, step_delay_s=0.05) as fake:
        yield fake


def files(folder: Path, authority: Authority, token: str = "all") -> Credentials:
    certificate, key = authority.issue("client").write(folder, "client")
    return Credentials(
        ca_file=replace(folder / "ca.crt", authority.certificate),
        cert_file=certificate,
        key_file=key,
        token_file=replace(folder / "token", f"{token}\n"),
    )


def test_a_token_is_sent_with_every_call(guarded: FakeBackdrop) -> None:
    with backdrop.Client(guarded.endpoint, credentials=Credentials(token="all")) as client:
        assert client.info().pipelines
        assert client.generate(TASK, prompt="a beach", seed=1).result().pictures
    for token, error in (("other", backdrop.UnauthenticatedError), (None, backdrop.UnauthenticatedError)):
        with backdrop.Client(guarded.endpoint, credentials=Credentials(token=token)) as client:
            with pytest.raises(error):
                client.info()
            with pytest.raises(error):
                client.generate(TASK, prompt="a beach").result()
            assert not client.ready()


def test_the_fake_keeps_scopes_as_the_server_does(guarded: FakeBackdrop) -> None:
    with backdrop.Client(guarded.endpoint, credentials=Credentials(token="reader")) as client:
        assert client.info()
        with pytest.raises(backdrop.PermissionDeniedError, match="'generate'"):
            client.generate(TASK, prompt="a beach").result()
    with backdrop.Client(guarded.endpoint, credentials=Credentials(token="one")) as client:
        generation = client.generate(TASK, prompt="a beach")
        with pytest.raises(backdrop.PermissionDeniedError, match="'generate:"):
            generation.result()


def test_the_file_of_a_token_is_read_for_each_call(guarded: FakeBackdrop, tmp_path: Path) -> None:
    token = replace(tmp_path / "token", "other")
    with backdrop.Client(guarded.endpoint, credentials=Credentials(token_file=token)) as client:
        with pytest.raises(backdrop.UnauthenticatedError):
            client.info()
        replace(token, "all\n")
        assert client.info()
        for content in ("", "two words", "line\nline", "\u00e9"):
            replace(token, content)
            with pytest.raises(backdrop.InvalidRequestError, match="token_file holds no token"):
                client.info()
        token.unlink()
        with pytest.raises(backdrop.InvalidRequestError, match="No such file"):
            client.info()


async def test_certificates_rotate_under_a_stream(authority: Authority, mutual: FakeBackdrop, tmp_path: Path) -> None:
    async with backdrop.AsyncClient(mutual.endpoint, credentials=files(tmp_path, authority), retries=0) as client:
        first = client.generate(TASK, prompt="a beach", steps=20)
        assert isinstance(await anext(first), backdrop.Accepted)
        for _ in range(3):
            authority.issue("client").write(tmp_path, "client")
            assert await client.info()
        # A key whose certificate has not come yet: the connection that is open serves.
        replace(tmp_path / "client.key", authority.issue("client").key)
        assert await client.info()
        assert (await first).pictures


async def test_a_certificate_without_its_key_is_told(
    authority: Authority, mutual: FakeBackdrop, tmp_path: Path
) -> None:
    chosen = files(tmp_path, authority)
    replace(tmp_path / "client.key", authority.issue("client").key)
    async with backdrop.AsyncClient(mutual.endpoint, credentials=chosen) as client:
        with pytest.raises(backdrop.InvalidRequestError, match="not a certificate and its key"):
            await client.info()
    (tmp_path / "client.key").unlink()
    async with backdrop.AsyncClient(mutual.endpoint, credentials=chosen) as client:
        with pytest.raises(backdrop.InvalidRequestError, match=r"client\.key: No such file"):
            await client.info()


async def test_a_server_that_is_not_trusted_gets_no_token(mutual: FakeBackdrop, tmp_path: Path) -> None:
    async with backdrop.AsyncClient(
        mutual.endpoint, credentials=files(tmp_path, Authority("other")), retries=0
    ) as client:
        with pytest.raises(backdrop.UnavailableError, match="TLS"):
            await asyncio.wait_for(client.info(), 15)


@pytest.mark.parametrize("endpoint", ["backdrop.example.com:443", "10.0.0.1:1", "dns:///host:1", "[fd00::1]:1"])
def test_a_token_does_not_travel_in_plain_text(endpoint: str) -> None:
    for secret in ({"token": "t"}, {"token_file": "f"}):
        with pytest.raises(backdrop.InvalidRequestError, match="plain text"):
            backdrop.Client(endpoint, credentials=Credentials(**secret))  # type: ignore[arg-type]
        for allowed in ({"tls": True}, {"ca_file": "f"}, {"allow_plaintext": True}):
            backdrop.AsyncClient(endpoint, credentials=Credentials(**secret, **allowed))  # type: ignore[arg-type]


def test_a_token_does_not_travel_through_a_proxy_in_plain_text() -> None:
    with pytest.raises(backdrop.InvalidRequestError, match="plain text"):
        backdrop.AsyncClient("127.0.0.1:1", credentials=Credentials(token="t"), proxy=True)


def test_arguments_that_exclude_each_other_are_refused() -> None:
    wrong: tuple[dict[str, Any], ...] = (
        {"cert_file": "c"}, {"key_file": "k"}, {"token": "t", "token_file": "f"}, {"token": ""}, {"token": "a\nb"},
    )  # fmt: skip
    for arguments in wrong:
        with pytest.raises(backdrop.InvalidRequestError):
            Credentials(**arguments)
    with pytest.raises(backdrop.InvalidRequestError, match=r"backdrop\.Credentials"):
        backdrop.AsyncClient("h:1", credentials="token")  # type: ignore[arg-type]
    assert "secret" not in repr(Credentials(token="secret"))


def test_the_environment_has_credentials(guarded: FakeBackdrop, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "BACKDROP_TLS": "true", "BACKDROP_CA_FILE": "a", "BACKDROP_CERT_FILE": "c", "BACKDROP_KEY_FILE": "k",
        "BACKDROP_TOKEN_FILE": "t", "BACKDROP_ALLOW_PLAINTEXT": "0",
    }  # fmt: skip
    assert Credentials.from_environment(values) == Credentials(True, "a", "c", "k", None, "t")
    monkeypatch.setenv("BACKDROP_TOKEN", "reader")
    with backdrop.Client(guarded.endpoint) as client:
        assert client.info()


def test_the_command_line_takes_them(guarded: FakeBackdrop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = replace(tmp_path / "token", "all")
    command = ("info", "--endpoint", guarded.endpoint)
    without = run(*command)
    assert without.exit_code == 1
    assert "--token-file" in without.stderr
    monkeypatch.setenv("BACKDROP_TOKEN", "other")  # a flag comes before it
    assert run(*command, "--token-file", str(token)).exit_code == 0
    made = run(
        "text-to-image", "--endpoint", guarded.endpoint, "--token-file", token, "--prompt", "a beach", "--out", tmp_path
    )
    assert made.exit_code == 0, made.output
    refused = run("info", "--endpoint", "10.0.0.1:1", "--token-file", str(token))
    assert refused.exit_code == 2
    assert "--allow-plaintext" in refused.stderr or "plain text" in refused.stderr


def test_the_command_line_takes_certificates(mutual: FakeBackdrop, authority: Authority, tmp_path: Path) -> None:
    chosen = files(tmp_path, authority, "reader")
    flags = [f"--{name.replace('_', '-')}={getattr(chosen, name)}" for name in ("ca_file", "cert_file", "key_file")]
    assert run("info", "--endpoint", mutual.endpoint, *flags, f"--token-file={chosen.token_file}").exit_code == 0
