"""Credentials to callers: a token if there is one, else the client certificate; verified tokens are remembered."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from backdrop.contract.access import no_credentials, unknown_credentials, unlisted_identity
from backdrop.errors import Reason, error
from orchestrator.identity import jwts
from orchestrator.identity.access import Access
from orchestrator.identity.caller import Caller
from orchestrator.identity.files import IdentityError, WatchedFiles
from orchestrator.identity.jwks import KeyLocation, KeySource
from orchestrator.identity.keys import KeyFile, is_key

_REFRESH_S = 1.0
"""How often the files are looked at."""
_MOST_REMEMBERED = 4096


class Authenticator:
    """Knows the callers of a server. For use in one event loop.

    Args:
        keys_file: hashed keys; None if no keys are taken.
        access_file: issuers and rules; None if neither tokens of issuers nor certificates are taken.
        clock: seconds since 1970.

    Raises:
        IdentityError: a file cannot be used.
    """

    def __init__(
        self, keys_file: Path | None, access_file: Path | None, clock: Callable[[], float] = time.time
    ) -> None:
        self._keys = WatchedFiles("BACKDROP_TOKEN_KEYS_FILE", KeyFile.read, keys_file) if keys_file else None
        self._access = WatchedFiles("BACKDROP_ACCESS_FILE", Access.read, access_file) if access_file else None
        self._clock = clock
        self._sources: dict[KeyLocation, KeySource] = {}
        self._verified: dict[bytes, tuple[Caller, float]] = {}
        self._refreshing: dict[bool, asyncio.Task[None]] = {}
        self._one_at_a_time = asyncio.Lock()

    async def open(self) -> None:
        """Reads the issuers' keys; those behind a URL may come later. Raises IdentityError for a file without keys."""
        await self.refresh()
        for source in self._sources.values():
            if source.keys is None and not source.remote:
                raise IdentityError(f"BACKDROP_ACCESS_FILE: no keys could be read from {source.location.jwks}")

    async def keep_fresh(self) -> None:
        """Reads files and issuers' keys again when they change; runs until it is cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(_REFRESH_S)

    async def refresh(self, *, unknown_key: bool = False) -> None:
        """Looks at all files now, and at URLs if it is time. Callers at the same time share one look."""
        running = self._refreshing.get(unknown_key)
        if running is None or running.done():
            running = self._refreshing[unknown_key] = asyncio.create_task(self._refresh(unknown_key))
        await asyncio.shield(running)

    async def _refresh(self, unknown_key: bool) -> None:
        async with self._one_at_a_time:
            # What was remembered was verified by keys and rules that may have been withdrawn.
            if await asyncio.to_thread(self._read_again, unknown_key):
                self._verified.clear()

    def _read_again(self, unknown_key: bool) -> bool:
        changed = [files.refresh() for files in (self._keys, self._access) if files]
        locations = [issuer.location for issuer in self._access.value.issuers] if self._access else []
        # The keys of a location outlive a change of the access file: its callers must not wait for them again.
        self._sources = {each: self._sources.get(each) or KeySource(each) for each in locations}
        changed += [source.refresh(unknown_key=unknown_key) for source in self._sources.values()]
        return any(changed)

    async def identify(self, token: str | None, names: Sequence[str]) -> Caller:
        """The caller with this token, or with a certificate of these names. Waits only for keys that were never read.

        Raises:
            UnauthenticatedError: there are no credentials, or they are not valid.
            PermissionDeniedError: they are valid, but no rule lets the identity in.
            UnavailableError: an issuer's keys could not be read yet.
        """
        if token is None:
            return self._by_certificate(names)
        if len(token) > jwts.LONGEST or not token.isascii():
            raise unknown_credentials()
        if is_key(token):
            return await self._by_key(token)
        digest = hashlib.sha256(token.encode()).digest()
        caller, expires = self._verified.get(digest, (None, 0.0))
        if caller is not None and self._clock() < expires:
            return caller
        caller, expires = await self._by_token(token)
        if len(self._verified) >= _MOST_REMEMBERED:
            self._verified.clear()
        self._verified[digest] = caller, expires
        return caller

    def _by_certificate(self, names: Sequence[str]) -> Caller:
        if not names:
            raise no_credentials()
        caller = self._access.value.by_certificate(names) if self._access else None
        if caller is None:
            raise unlisted_identity()
        return caller

    async def _by_key(self, token: str) -> Caller:
        if self._keys is None:
            raise unknown_credentials()
        if not self._keys.value.has(token):
            await self.refresh()  # a new key is good from the moment it is in the file
        return self._keys.value.caller(token, datetime.datetime.fromtimestamp(self._clock(), datetime.UTC))

    async def _by_token(self, token: str) -> tuple[Caller, float]:
        claim = jwts.issuer_of(token)
        if self._access is None or (issuer := self._access.value.issuer(claim)) is None:
            raise unknown_credentials()
        try:
            verified = self._verify(token, issuer)
        except jwts.UnknownKeyError:
            await self.refresh(unknown_key=True)
            try:
                verified = self._verify(token, issuer)
            except jwts.UnknownKeyError:
                raise unknown_credentials() from None
        caller = self._access.value.by_subject(issuer, verified.subject)
        if caller is None:
            raise unlisted_identity()
        return caller, verified.expires

    def _verify(self, token: str, issuer: jwts.Issuer) -> jwts.Verified:
        source = self._sources.get(issuer.location)
        if source is None or source.keys is None:
            message = "the server has not read the keys of the token's issuer yet; try again soon."
            raise error(Reason.NO_REPLICA, message, retry_after_s=1.0)
        return jwts.verify(token, issuer, source.keys, self._clock())
