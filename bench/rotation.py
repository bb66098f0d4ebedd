"""Certificates, authorities, keys and signing keys are replaced while clients call; lost requests are counted."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import tempfile
from pathlib import Path

import backdrop
from bench.figures import Figure, at_most
from tests.certificates import HOST, Authority, replace
from tests.orchestrator.identity.guarded import Site


@dataclasses.dataclass
class Tally:
    """What callers saw."""

    answered: int = 0
    lost: list[str] = dataclasses.field(default_factory=list)
    begun: dict[int, int] = dataclasses.field(default_factory=dict)
    """Calls that each caller has begun."""

    async def everybody_called(self) -> None:
        """Waits until no call runs that read its credentials before."""
        before = dict(self.begun)
        while any(self.begun[caller] <= count for caller, count in before.items()):  # noqa: ASYNC110  (six counters)
            await asyncio.sleep(0.01)


class Rotation:
    """Replaces everything, in the order in which an operator does: first what is trusted, then what is shown."""

    def __init__(self, site: Site, tally: Tally) -> None:
        self._site, self._tally = site, tally
        self._round = 0
        self.key, self.token = site.folder / "caller.key-token", site.folder / "caller.jwt"
        self.ca = replace(site.folder / "caller-ca.crt", site.authority.certificate)
        self._show()

    @property
    def certificate(self) -> tuple[Path, Path]:
        """The callers' certificate and key."""
        return self._site.folder / "caller.crt", self._site.folder / "caller.key"

    async def turn(self) -> None:
        """One rotation of everything."""
        self._round += 1
        site, earlier = self._site, self._site.authority.certificate
        site.authority = Authority(f"authority {self._round}")
        both = earlier + site.authority.certificate
        replace(site.ca, both)
        replace(self.ca, both)
        site.issuer.rotate()
        site.write_jwks()
        await self._tally.everybody_called()
        self._show()
        site.authority.issue("server").write(site.folder, "server")
        await self._tally.everybody_called()
        replace(site.ca, site.authority.certificate)
        replace(self.ca, site.authority.certificate)
        site.keys, site.issuer.keys = site.keys[-1:], site.issuer.keys[-1:]
        site.write_keys()
        site.write_jwks()
        await self._tally.everybody_called()

    def _show(self) -> None:
        """What callers show from now on."""
        site = self._site
        replace(self.key, site.key(f"caller-{self._round}", "generate", "info"))
        replace(self.token, site.issuer.sign("system:serviceaccount:shop:web"))
        site.authority.issue("shop-caller").write(site.folder, "caller")


async def rotate(folder: Path, rounds: int, callers: int = 2) -> Tally:
    """Rotates `rounds` times under load; there are `callers` with a key, with a token, and with a certificate alone."""
    site, tally = Site(folder), Tally()
    rotation, stop = Rotation(site, tally), asyncio.Event()
    certificate, key = rotation.certificate
    # Connections of a second: each rotation meets new handshakes.
    async with site.serve(mutual=True, connection_age_s=1.0) as running:
        endpoint = f"{HOST}:{running.server.port}"
        shown = [
            backdrop.Credentials(ca_file=rotation.ca, cert_file=certificate, key_file=key, token_file=token)
            for token in (rotation.key, rotation.token, None)
        ]
        tally.begun = dict.fromkeys(range(len(shown * callers)), 0)
        tasks = [
            asyncio.create_task(_call(endpoint, each, stop, tally, number))
            for number, each in enumerate(shown * callers)
        ]
        for _ in range(rounds):
            await rotation.turn()
        stop.set()
        await asyncio.gather(*tasks)
    return tally


async def _call(
    endpoint: str, credentials: backdrop.Credentials, stop: asyncio.Event, tally: Tally, number: int
) -> None:
    """Makes pictures and asks for information until `stop`; a call is lost if it fails, and is not tried again."""
    async with backdrop.AsyncClient(endpoint, credentials=credentials, retries=0, timeout_s=30.0) as client:
        while not stop.is_set():
            try:
                for _ in range(5):
                    tally.begun[number] += 1
                    await client.info()
                    tally.answered += 1
                tally.begun[number] += 1
                await client.generate(backdrop.TextToImage(), prompt="a beach", steps=1, pipeline="small-bare")
                tally.answered += 1
            except backdrop.OverloadedError:  # as many run as the server takes: not what is counted here
                pass
            except backdrop.BackdropError as problem:
                tally.lost.append(f"{type(problem).__name__}: {problem}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 0.02)


def figure(command: str) -> list[Figure]:
    """The mark."""
    rounds = 40
    with tempfile.TemporaryDirectory() as folder:
        tally = asyncio.run(rotate(Path(folder), rounds))
    said = f"{rounds} rotations of everything, {tally.answered} requests without retries" + "".join(tally.lost[:1])
    return [
        Figure("certificates and keys rotated under load: requests lost", len(tally.lost), at_most(0), command, said)
    ]
