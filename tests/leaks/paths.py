"""Every way in which a call can end, with the status that it must have."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import grpc
import structlog
from PIL import Image
from pydantic import ValidationError

from backdrop.contract.metadata import IDEMPOTENCY_KEY, PRIORITY_KEY
from orchestrator.settings import faults
from tests.field.resp import usual
from tests.leaks.planted import COLOUR, FOREIGN, SECRETS, WRONG_JWT, WRONG_KEY, mask, product
from tests.leaks.site import INFO_METHOD, Site, valid
from tests.orchestrator.small import server_settings

Status = grpc.StatusCode
Path = Callable[[Site], Awaitable[grpc.StatusCode]]
ALL_SECRETS = " ".join([*SECRETS.values(), str([list(COLOUR)] * 20), repr(bytes(COLOUR) * 20)])


def _refused(expected: grpc.StatusCode = Status.INVALID_ARGUMENT, **changes: Any) -> tuple[grpc.StatusCode, Path]:
    return expected, lambda site: site.call(valid(site, **changes))


def _tiff() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), COLOUR).save(buffer, "TIFF")
    return buffer.getvalue()


@contextlib.contextmanager
def _models_do(site: Site, what: Callable[[str], Awaitable[None]]) -> Iterator[None]:
    site.models.before = what
    try:
        yield
    finally:
        site.models.before = None


async def _defect(site: Site) -> grpc.StatusCode:
    async def burst(_: str) -> None:
        try:
            raise KeyError(ALL_SECRETS)
        except KeyError as problem:
            raise RuntimeError(ALL_SECRETS) from problem

    with _models_do(site, burst):
        return await site.call(valid(site))


async def _slow(_: str) -> None:
    await asyncio.sleep(0.05)


async def _passed_deadline(site: Site) -> grpc.StatusCode:
    with _models_do(site, _slow):
        return await site.call(valid(site, steps=20), timeout_s=0.3)


async def _cancelled(site: Site) -> grpc.StatusCode:
    with _models_do(site, _slow):
        return await site.call(valid(site), leave_at="step")


async def _full(site: Site, *more: tuple[str, str]) -> grpc.StatusCode:
    gate = asyncio.Event()

    async def wait(_: str) -> None:
        await gate.wait()

    with _models_do(site, wait):
        busy = [asyncio.create_task(site.call(valid(site, seed=seed))) for seed in (1, 2)]
        while site.admission.running < 2:  # noqa: ASYNC110 (admission has no event for it)
            await asyncio.sleep(0.005)
        code = await site.call(valid(site), more=more)
        gate.set()
        assert set(await asyncio.gather(*busy)) == {Status.OK}
    return code


async def _full_by_headers(site: Site) -> grpc.StatusCode:
    return await _full(site, (PRIORITY_KEY, "2"), (IDEMPOTENCY_KEY, site.new_key()))


async def _key_reused(site: Site) -> grpc.StatusCode:
    message = valid(site)
    assert await site.call(message) is Status.OK
    message.sampling.seed += 1
    return await site.call(message)


async def _triton_quotes(site: Site) -> grpc.StatusCode:
    """Triton fails on the prompt's tokens, then on the picture's pixels; each error quotes its input."""
    codes, size = [], (64, 72)  # another one than before, since latents and embeddings are cached
    for model in ("text_encoder_l", "vae_encoder"):
        site.to_triton, site.triton.models = (model,), {model}
        prompt = f"a beach {SECRETS['prompt']} {model}"
        codes.append(await site.call(valid(site, prompt=prompt, product=product(size=size), mask=mask(size))))
    site.to_triton = ()
    assert len(set(codes)) == 1
    return codes[0]


async def _triton_dead(site: Site) -> grpc.StatusCode:
    await site.triton.kill()
    site.to_triton = ("denoiser",)
    code = await site.call(valid(site))
    site.to_triton = ()
    await site.triton.start()
    return code


async def _redis_says(site: Site, answer: Callable[[str], bytes | None]) -> grpc.StatusCode:
    """Redis answers otherwise from now on, over new connections; the request succeeds."""
    site.redis.to = answer
    assert site.cache._redis is not None
    await site.cache._redis._redis.connection_pool.disconnect()
    code = await site.call(valid(site))
    await asyncio.sleep(0.05)
    site.redis.to = usual
    return code


def _quotes_auth(command: str) -> bytes | None:
    """What a server without AUTH says, and one that only repeats the password."""
    password = SECRETS["redis password"]
    text = f"-ERR unknown command 'AUTH', with args beginning with: '{password}' {FOREIGN}\r\n"
    return text.encode() if command == "AUTH" else f"-DENIED {password} is wrong {FOREIGN}\r\n".encode()


def _quotes_set(command: str) -> bytes | None:
    text = f"-ERR unknown command 'SET', with args beginning with: {ALL_SECRETS}\r\n"
    return text.encode() if command == "SET" else usual(command)


def _garbage(command: str) -> bytes | None:
    return f"?{ALL_SECRETS}\r\n".encode() if command in ("GET", "EXISTS") else usual(command)


async def _store_breaks(site: Site) -> grpc.StatusCode:
    before = site.cache.results.get

    async def burst(name: str) -> bytes | None:
        raise OSError(5, ALL_SECRETS)

    site.cache.results.get = burst  # type: ignore[method-assign]
    code = await site.call(valid(site))
    site.cache.results.get = before  # type: ignore[method-assign]
    return code


async def _info_breaks(site: Site) -> grpc.StatusCode:
    before = site.service._describe

    def burst() -> Any:
        raise RuntimeError(ALL_SECRETS)

    site.service._describe = burst
    code = await site.call(b"", method=INFO_METHOD)
    site.service._describe = before
    return code


async def _nobody_awaits(site: Site) -> grpc.StatusCode:
    async def burst() -> None:
        raise RuntimeError(ALL_SECRETS)

    task = asyncio.create_task(burst())
    await asyncio.sleep(0)
    del task
    asyncio.get_running_loop().call_soon(lambda _: 1 // 0, ALL_SECRETS)
    await asyncio.sleep(0)
    return Status.OK


async def _wrong_settings(site: Site) -> grpc.StatusCode:
    password = SECRETS["redis password"]
    for url in (f"redis://:{password}#@h:1", f"redis://h:{password}", f"redis://h/{password}", f"x://:{password}@h"):
        for name in ("redis_url", "otlp_endpoint"):
            with contextlib.suppress(ValidationError):
                try:
                    server_settings(site.settings.repository, **{name: url})
                except ValidationError as problem:
                    for sentence in faults(problem):
                        structlog.get_logger("orchestrator").error(sentence)
                    raise
    return Status.OK


PATHS: dict[str, tuple[grpc.StatusCode, Path]] = {
    "success": (Status.OK, lambda site: site.call(valid(site))),
    "success, JPEG": (Status.OK, lambda site: site.call(valid(site, product=product("JPEG"), format=2))),
    "success, WebP": (Status.OK, lambda site: site.call(valid(site, product=product("WEBP"), format=3))),
    "style picture": (
        Status.OK,
        lambda site: site.call(valid(site, pipeline="small-style", style_images=[{"image": product("WEBP")}])),
    ),
    "not a message": (Status.INVALID_ARGUMENT, lambda site: site.call(b"\xff" + ALL_SECRETS.encode())),
    "no message": (Status.INVALID_ARGUMENT, lambda site: site.call(None)),
    "message too large": (Status.RESOURCE_EXHAUSTED, lambda site: site.call(ALL_SECRETS.encode() * 10_000)),
    "wrong number": _refused(steps=0),
    "prompt too long": _refused(prompt=f"{SECRETS['prompt']} " * 100),
    "prompt with NUL": _refused(prompt=f"a\0{SECRETS['prompt']}"),
    "unknown pipeline": _refused(Status.NOT_FOUND, pipeline="nowhere"),
    "unknown enum": _refused(format=99),
    "wrong colour": _refused(palette=["no colour"]),
    "half a PNG": _refused(product=product()[:-90]),
    "half a JPEG": _refused(product=product("JPEG")[:-90]),
    "half a WebP": _refused(product=product("WEBP")[:-10]),
    "a TIFF": _refused(product=_tiff()),
    "mask of another size": _refused(mask=product(size=(32, 32))),
    "coloured mask": _refused(mask=product()),
    "priority without end": (
        Status.OK,
        lambda site: site.call(valid(site), more=[(PRIORITY_KEY, "9" * 5000)]),
    ),
    "a wrong key": (Status.UNAUTHENTICATED, lambda site: site.call(valid(site), token=WRONG_KEY)),
    "a wrong token": (Status.UNAUTHENTICATED, lambda site: site.call(valid(site), token=WRONG_JWT)),
    "no token": (Status.UNAUTHENTICATED, lambda site: site.call(valid(site), token=f"a {WRONG_KEY}")),
    "unknown method": (
        Status.UNIMPLEMENTED,
        lambda site: site.call(valid(site), method=f"/backdrop.v1.GenerationService/{SECRETS['prompt']}"),
    ),
    "info": (Status.OK, lambda site: site.call(b"", method=INFO_METHOD)),
    "queue full": (Status.RESOURCE_EXHAUSTED, _full),
    "queue full, by the headers": (Status.RESOURCE_EXHAUSTED, _full_by_headers),
    "deadline passed": (Status.DEADLINE_EXCEEDED, _passed_deadline),
    "cancelled": (Status.CANCELLED, _cancelled),
    "key reused": (Status.ALREADY_EXISTS, _key_reused),
    "defect": (Status.INTERNAL, _defect),
    "the store breaks": (Status.INTERNAL, _store_breaks),
    "info breaks": (Status.INTERNAL, _info_breaks),
    "nobody awaits": (Status.OK, _nobody_awaits),
    "wrong settings": (Status.OK, _wrong_settings),
    "Triton quotes its input": (Status.INTERNAL, _triton_quotes),
    "Triton is dead": (Status.UNAVAILABLE, _triton_dead),
    "Redis quotes AUTH": (Status.OK, lambda site: _redis_says(site, _quotes_auth)),
    "Redis quotes SET": (Status.OK, lambda site: _redis_says(site, _quotes_set)),
    "Redis answers garbage": (Status.OK, lambda site: _redis_says(site, _garbage)),
    "Redis closes": (Status.OK, lambda site: _redis_says(site, lambda _: None)),
}


async def drive(site: Site) -> dict[str, tuple[grpc.StatusCode, grpc.StatusCode]]:
    """Takes every path, before the server is open, while it is, and while it drains: the statuses expected and seen."""
    statuses = {"not ready": (Status.UNAVAILABLE, await site.call(valid(site)))}
    site.open()
    for name, (expected, path) in PATHS.items():
        statuses[name] = (expected, await path(site))
    site.admission.drain()
    statuses["draining"] = (Status.UNAVAILABLE, await site.call(valid(site)))
    return statuses
