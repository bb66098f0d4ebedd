"""Sites of two orchestrators over emulated engines, with a key for each tenant: for the marks of shares and keys."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import AsyncIterator, Collection, Mapping
from pathlib import Path

import backdrop
from bench.arms.served import REPOSITORY
from bench.emulated import repository
from bench.emulated.costs import Cost
from orchestrator.identity.keys import new_key
from tests.faults.site import Plan, Site


@contextlib.asynccontextmanager
async def emulated_site(
    cost: Cost, tenants: Collection[str], *, tritons: int, settings: Mapping[str, str]
) -> AsyncIterator[tuple[Site, dict[str, backdrop.Credentials]]]:
    """Two orchestrators over emulated Tritons and one Redis, and the credentials of each tenant."""
    with tempfile.TemporaryDirectory(prefix="backdrop-reliability-") as name:
        folder = Path(name)
        keys = {tenant: new_key(tenant, tenant, ("generate", "info"), None) for tenant in tenants}
        entries = [key.model_dump(mode="json") for _, key in keys.values()]
        (folder / "keys.json").write_text(json.dumps({"keys": entries}))
        plan = Plan(
            repository.write(REPOSITORY, folder / "repository", cost), folder, tritons, orchestrators=2,
            settings={"BACKDROP_TOKEN_KEYS_FILE": str(folder / "keys.json")} | dict(settings),
        )  # fmt: skip
        async with Site(plan) as site:
            yield site, {tenant: backdrop.Credentials(token=token) for tenant, (token, _) in keys.items()}
