"""Who may do what: the scope of each method, what a scope covers, and the sentences of refusals."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from backdrop.errors import BackdropError, Reason, error

GENERATE, INFO, ADMIN = "generate", "info", "admin"
SCOPES: Mapping[str, str] = {
    GENERATE: "make pictures with every pipeline; `generate:NAME` is one pipeline alone",
    INFO: "read what the server serves",
    ADMIN: "read the descriptions of all methods (reflection)",
}
OPEN = ""
"""The scope of methods that need no identity."""
METHODS: Mapping[str, str] = {
    "/backdrop.v1.GenerationService/Generate": GENERATE,
    "/backdrop.v1.InfoService/GetInfo": INFO,
    "/grpc.health.v1.Health/Check": OPEN,
    "/grpc.health.v1.Health/Watch": OPEN,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": ADMIN,
}
"""The scope that a method needs. A method that is missing here is served to nobody."""
AUTHORIZATION = "authorization"
_SCHEME = "bearer "


def check_scope(scope: str) -> str:
    """Returns a scope of a configuration; raises ValueError for one that does not exist."""
    name, separator, pipeline = scope.partition(":")
    if name not in SCOPES or (separator and (name != GENERATE or not pipeline)):
        raise ValueError(f"is {scope!r}; scopes are {', '.join(SCOPES)} and {GENERATE}:PIPELINE")
    return scope


def check_method(scopes: Collection[str], method: str) -> None:
    """Lets a caller with these scopes call the method, as "/package.Service/Method".

    Raises:
        UnimplementedError: there is no such method.
        PermissionDeniedError: the scopes do not cover it.
    """
    scope = METHODS.get(method)
    if scope is None:
        raise error(Reason.UNIMPLEMENTED, "the server has no such method; compare the versions of client and server.")
    if scope in scopes or scope == OPEN:
        return
    if not (scope == GENERATE and any(each.startswith(f"{GENERATE}:") for each in scopes)):
        raise _denied(scope)


def check_pipeline(scopes: Collection[str], pipeline: str) -> None:
    """Lets a caller with these scopes use the pipeline; PermissionDeniedError otherwise."""
    if GENERATE not in scopes and f"{GENERATE}:{pipeline}" not in scopes:
        raise _denied(f"{GENERATE}:{pipeline}")


def bearer_token(metadata: Iterable[tuple[str, str | bytes]] | None) -> str | None:
    """The token of a call's `authorization`; None if the call has none.

    Raises:
        UnauthenticatedError: `authorization` is no bearer token, or comes twice.
    """
    values = [value for key, value in metadata or () if key == AUTHORIZATION]
    if not values:
        return None
    value = values[0]
    token = value[len(_SCHEME) :].strip() if isinstance(value, str) else ""
    if len(values) > 1 or not isinstance(value, str) or value[: len(_SCHEME)].lower() != _SCHEME or not token:
        message = "the metadata `authorization` must be one `Bearer TOKEN`."
        raise error(Reason.UNAUTHENTICATED, message)
    return token


def authorization(token: str) -> tuple[str, str]:
    """The metadata that carries a token."""
    return (AUTHORIZATION, f"Bearer {token}")


def no_credentials() -> BackdropError:
    """The refusal of a call without credentials."""
    message = "the call has no credentials; send a token (`token_file`, `BACKDROP_TOKEN_FILE` or `--token-file`)."
    return error(Reason.UNAUTHENTICATED, message)


def unknown_credentials() -> BackdropError:
    """The refusal of credentials that are not valid here; it does not say why, because the caller may be guessing."""
    message = "the credentials are not valid here; get new ones from the operator of the server, and check its address."
    return error(Reason.UNAUTHENTICATED, message)


def expired_credentials() -> BackdropError:
    """The refusal of credentials that were valid."""
    return error(Reason.UNAUTHENTICATED, "the credentials have expired; get new ones where these came from.")


def unlisted_identity() -> BackdropError:
    """The refusal of an identity that is valid, and that no rule of the server lets in."""
    message = "no rule of the server lets this identity in; ask its operator to add one."
    return error(Reason.PERMISSION_DENIED, message)


def _denied(scope: str) -> BackdropError:
    message = f"these credentials do not have the scope {scope!r}; ask the operator of the server for it."
    return error(Reason.PERMISSION_DENIED, message)
