"""A caller on its own host: requests pictures until its stdin ends, and prints one line for each result."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import time

import backdrop


async def ask(client: backdrop.AsyncClient, product: str, seed: int) -> dict[str, object]:
    """Requests one picture; returns its duration, and the digest of its bytes or the error."""
    began = time.monotonic()
    try:
        result = await client.generate(
            backdrop.Background(product),
            prompt="a beach",
            pipeline="backdrop-fast",
            steps=2,
            seed=seed,
            timeout_s=60,
        )
    except backdrop.BackdropError as problem:
        return {"seed": seed, "error": str(problem), "seconds": time.monotonic() - began}
    digest = hashlib.sha256(result.best.data).hexdigest()
    return {"seed": seed, "digest": digest, "seconds": time.monotonic() - began}


async def main(endpoint: str, product: str, at_once: int) -> None:
    """Keeps `at_once` requests running; prints one JSON object a line."""
    over = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, over.set)

    async def keep_asking(client: backdrop.AsyncClient) -> None:
        while not over.is_set():
            for seed in (1, 2, 3):
                sys.stdout.write(json.dumps(await ask(client, product, seed)) + "\n")
                sys.stdout.flush()

    async with backdrop.AsyncClient(endpoint) as client, asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(keep_asking(client))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
