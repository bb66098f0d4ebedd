"""The flags of a connection: which server, and the credentials that are shown to it."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from backdrop._cli.failures import failures_as_sentences
from backdrop._credentials import Credentials

PANEL = "Call and output"
_KIND = inspect.Parameter.KEYWORD_ONLY


def _option(help_text: str, metavar: str = "FILE") -> Any:
    return typer.Option(metavar=metavar, help=help_text, rich_help_panel=PANEL)


Endpoint = Annotated[
    str | None,
    typer.Option(
        envvar="BACKDROP_ENDPOINT",
        metavar="HOST:PORT",
        help="The server. Default: 127.0.0.1:50061.",
        rich_help_panel=PANEL,
    ),
]
Tls = Annotated[
    bool, typer.Option("--tls", help="Use TLS, as with --ca-file. Or BACKDROP_TLS=1.", rich_help_panel=PANEL)
]
CaFile = Annotated[
    Path | None, _option("Certificates to trust the server by. Or BACKDROP_CA_FILE. Default: the system's.")
]
CertFile = Annotated[Path | None, _option("Certificate to show to the server. Or BACKDROP_CERT_FILE.")]
KeyFile = Annotated[Path | None, _option("Private key of --cert-file. Or BACKDROP_KEY_FILE.")]
TokenFile = Annotated[Path | None, _option("File with a key or a token. Or BACKDROP_TOKEN_FILE, or BACKDROP_TOKEN.")]
AllowPlaintext = Annotated[
    bool,
    typer.Option(
        "--allow-plaintext",
        help="Send the token without TLS beyond this machine. Or BACKDROP_ALLOW_PLAINTEXT=1.",
        rich_help_panel=PANEL,
    ),
]
FLAGS: Mapping[str, tuple[Any, Any]] = {
    "tls": (Tls, False),
    "ca_file": (CaFile, None),
    "cert_file": (CertFile, None),
    "key_file": (KeyFile, None),
    "token_file": (TokenFile, None),
    "allow_plaintext": (AllowPlaintext, False),
}
"""The annotation and the default of each flag of credentials."""


@dataclasses.dataclass(frozen=True)
class Connection:
    """What a client is made of."""

    endpoint: str | None
    credentials: Credentials


def connected(
    command: Callable[..., None], parameters: Iterable[inspect.Parameter] | None = None
) -> Callable[..., None]:
    """The command with the flags of a connection instead of its parameter `connection`; failures become sentences.

    typer reads flags from the signature that the result has: `parameters`, by default the command's own, and those
    flags. Written by hand, it would repeat every description.
    """
    flags = _parameters()
    own = inspect.signature(command, eval_str=True).parameters.values() if parameters is None else parameters

    def run(**values: Any) -> None:
        with failures_as_sentences():
            chosen = _connection_of(**{each.name: values.pop(each.name) for each in flags})
            command(connection=chosen, **values)

    signature = [*(each.replace(kind=_KIND) for each in own if each.name != "connection"), *flags]
    signature.sort(key=lambda each: each.default is not inspect.Parameter.empty)
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = inspect.Signature(signature)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in signature}
    return run


def _parameters() -> list[inspect.Parameter]:
    """The flags as parameters of a command."""
    flags = {"endpoint": (Endpoint, None), **FLAGS}
    return [
        inspect.Parameter(name, _KIND, annotation=annotation, default=default)
        for name, (annotation, default) in flags.items()
    ]


def _connection_of(endpoint: str | None, **flags: Any) -> Connection:
    """What the flags say, and the environment where they say nothing. Raises InvalidRequestError."""
    values = {name: value for name, value in flags.items() if value}
    if "token_file" in values:
        values["token"] = None  # a flag comes before BACKDROP_TOKEN
    elsewhere = Credentials.from_environment()
    return Connection(endpoint, dataclasses.replace(elsewhere, **values) if values else elsewhere)
