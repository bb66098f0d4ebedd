"""The work behind `backdrop generate`: one generation, shown while it runs, written when it is done."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

from rich.console import Console

from backdrop._cli.progress import make_display
from backdrop._cli.report import Asked, print_result, write_result
from backdrop._client import AsyncClient
from backdrop._types import Result, StepProgress
from backdrop.errors import Reason, error


@dataclasses.dataclass(frozen=True)
class Order:
    """What the command line asks for."""

    endpoint: str | None
    product: Path
    out: Path
    timeout_s: float
    arguments: dict[str, Any]
    """For `AsyncClient.generate`."""


def run(order: Order) -> None:
    """Generates, shows and writes. Raises BackdropError, OSError, KeyboardInterrupt."""
    try:
        photo = order.product.read_bytes()
    except OSError as exc:
        message = f"Cannot read the product photo {order.product}: {exc.strerror}."
        raise error(Reason.INVALID_PICTURE, message, field="product") from None
    # Made before anything is spent on the server: a folder that cannot be written must not cost a generation.
    order.out.mkdir(parents=True, exist_ok=True)
    result, endpoint = asyncio.run(_generate(order, photo))
    asked = Asked(
        prompt=order.arguments["prompt"],
        negative_prompt=order.arguments["negative_prompt"],
        endpoint=endpoint,
        product=photo,
        product_name=order.product.name,
        style=tuple((Path(str(style.picture)).name, style.weight) for style in order.arguments["style_images"]),
    )
    stdout = Console()
    if not stdout.is_terminal:
        stdout = Console(width=160)  # piped into a file, the table must not be squeezed into 80 columns
    print_result(stdout, result, write_result(order.out, result, asked))


async def _generate(order: Order, photo: bytes) -> tuple[Result, str]:
    result: Result | None = None
    console = Console(stderr=True)  # progress is not output: stdout stays clean for what was made
    async with AsyncClient(order.endpoint, timeout_s=order.timeout_s) as client:
        generation = client.generate(photo, **order.arguments)
        with make_display(console, order.arguments["variants"]) as display:
            async with generation:
                async for event in generation:
                    display.show(event)
                    if isinstance(event, StepProgress) and event.preview:
                        (order.out / f"preview-{event.variant + 1}.jpg").write_bytes(event.preview)
                    if isinstance(event, Result):
                        result = event
        assert result is not None, "a generation that raises nothing ends with its result"
        return result, client.endpoint
