"""Sends requests through the SDK of the checkout in PYTHONPATH: `python -P <this file> ENDPOINT`.

Imports nothing of ours but that checkout's `backdrop`, so that two commits whose SDKs differ can be driven alike. Reads
commands from standard input, a line of JSON each, and answers each with a line:

- {"do": "closed", "clients": N, "requests": […]}: each client sends its next request when its last one is answered;
  answers {"latencies_s": […], "wall_s": S}.
- {"do": "start", "requests": […]}: keeps every request running, again and again; answers {}.
- {"do": "stop"}: cancels what was started; answers {}.

A request is {"product": base64, "mask": base64, "options": {…}}.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from typing import Any

import backdrop


async def generate(client: Any, request: dict[str, Any]) -> None:
    """One request, by the old call or the new one."""
    product, mask = base64.b64decode(request["product"]), base64.b64decode(request["mask"])
    background = getattr(backdrop, "Background", None)
    if background is None:
        await client.generate(product, mask=mask, **request["options"])
    else:
        await client.generate(background(product, mask=mask), **request["options"])


async def closed(client: Any, clients: int, requests: list[dict[str, Any]]) -> dict[str, Any]:
    """A closed loop."""
    waiting, latencies = iter(requests), list[float]()

    async def one() -> None:
        for request in waiting:
            begin = time.perf_counter()
            await generate(client, request)
            latencies.append(time.perf_counter() - begin)

    begin = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(clients)))
    return {"latencies_s": latencies, "wall_s": time.perf_counter() - begin}


async def endless(client: Any, request: dict[str, Any]) -> None:
    """The same request with a new seed each time."""
    while True:
        await generate(client, request)
        request["options"]["seed"] += 1


async def main() -> None:
    """Answers commands until standard input ends."""
    loop, running = asyncio.get_running_loop(), list[asyncio.Task[None]]()
    async with backdrop.AsyncClient(sys.argv[1], timeout_s=600) as client:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            command, answer = json.loads(line), dict[str, Any]()
            if command["do"] == "closed":
                answer = await closed(client, command["clients"], command["requests"])
            elif command["do"] == "start":
                running = [asyncio.create_task(endless(client, request)) for request in command["requests"]]
            else:
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
