"""Every method's door: the headers decide who comes in, before a message is read; other methods stay shut."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha._async import ReflectionServicer

from backdrop.contract.access import bearer_token, check_method, no_credentials
from backdrop.errors import BackdropError, to_status, trailers
from orchestrator.api.tls import names_of
from orchestrator.identity.authenticator import Authenticator
from orchestrator.identity.caller import NOBODY, Caller

Context = grpc.aio.ServicerContext[Any, Any]


def _ignore(_: Caller) -> None:
    pass


class Doors:
    """Lets callers in.

    Args:
        authenticator: knows the callers; None: everybody may do everything, for development.
        certificates: whether clients show certificates.
    """

    def __init__(self, authenticator: Authenticator | None = None, *, certificates: bool = False) -> None:
        self._authenticator = authenticator
        self._certificates = certificates

    async def admit(self, method: str, context: Context, identified: Callable[[Caller], None] = _ignore) -> Caller:
        """The caller of the method, as "/package.Service/Method", if its scopes cover that.

        `identified` is called with a caller whose identity is right, before its scopes are checked.

        Raises:
            UnauthenticatedError: no credentials, or wrong ones.
            PermissionDeniedError: the caller may not call the method.
            UnimplementedError: no caller may.
        """
        if self._authenticator is None:
            caller = NOBODY
        else:
            # gRPC copies the whole certificate for this: only where there is one.
            names = names_of(context.auth_context()) if self._certificates else ()
            token = bearer_token(context.invocation_metadata())
            if token is None and not names:
                raise no_credentials()
            caller = await self._authenticator.identify(token, names)
        identified(caller)
        check_method(caller.scopes, method)
        return caller

    def unknown(self) -> grpc.GenericRpcHandler[Any, Any]:
        """A handler of every other method, to be added last: a stranger does not learn which methods there are."""
        return _Unknown(self)


class Reflection(ReflectionServicer):  # type: ignore[misc]  # without types
    """gRPC's reflection, for those who may see it."""

    def __init__(self, names: Iterable[str], doors: Doors) -> None:
        super().__init__(names)
        self._doors = doors

    async def ServerReflectionInfo(self, request_iterator: Any, context: Context) -> AsyncIterator[Any]:  # noqa: N802
        """As of gRPC's own servicer."""
        await _admitted(self._doors, f"/{reflection.SERVICE_NAME}/ServerReflectionInfo", context)
        async for answer in super().ServerReflectionInfo(request_iterator, context):
            yield answer


class _Unknown(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs alone
    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        method = str(handler_call_details.method)

        async def refuse(_: Any, context: Context) -> None:
            await _admitted(self._doors, method, context)

        return grpc.stream_stream_rpc_method_handler(refuse)


async def _admitted(doors: Doors, method: str, context: Context) -> None:
    """Ends the call if its caller may not make it."""
    try:
        await doors.admit(method, context)
    except BackdropError as problem:
        status = to_status(problem)
        await context.abort(problem.code, status.message, trailers(status))
