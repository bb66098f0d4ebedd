"""The work behind the command of a task: one generation, shown while it runs, written when it is done."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from backdrop._cli.connection import Connection
from backdrop._cli.progress import make_display
from backdrop._cli.report import Sent, print_result, print_warnings, write_result
from backdrop._client import AsyncClient
from backdrop._describe import options_of
from backdrop._events import Result, StepProgress
from backdrop.tasks import Task


@dataclasses.dataclass(frozen=True)
class Request:
    """A task and options for `AsyncClient.generate`."""

    task: Task
    options: dict[str, Any]

    @property
    def variants(self) -> int:
        """How many pictures are made, over all layouts."""
        layouts = len(getattr(self.task, "layouts", None) or ()) or getattr(self.task, "automatic_placements", None)
        variants: int = self.options.get("variants", 1) * (layouts or 1)
        return variants

    def files(self) -> dict[str, Path]:
        """The files that the task's fields name."""
        values = {name: getattr(self.task, name) for name in options_of(type(self.task))}
        return {name: value for name, value in values.items() if isinstance(value, Path)}

    def with_contents(self) -> tuple[Request, dict[str, bytes]]:
        """The request with the contents of its files, and these by field. Raises OSError, InvalidRequestError.

        Read once: the contact sheet must show the bytes that were sent.
        """
        fields = options_of(type(self.task))
        contents = {name: fields[name].write(path, fields[name].path) for name, path in self.files().items()}
        return Request(dataclasses.replace(self.task, **contents), self.options), contents

    def sent(self, contents: Mapping[str, bytes], endpoint: str) -> Sent:
        """What result.json and the contact sheet say of this request, whose files still have names."""
        style = self.options.get("style_images", ())
        return Sent(
            prompt=self.options.get("prompt", ""),
            negative_prompt=self.options.get("negative_prompt", ""),
            endpoint=endpoint,
            files={name: path.name for name, path in self.files().items()},
            picture=next(iter(contents.values()), None),
            style=tuple((Path(str(each.picture)).name, each.weight) for each in style),
        )


def run(request: Request, out: Path, connection: Connection) -> None:
    """Generates, shows and writes. Raises BackdropError, OSError, KeyboardInterrupt."""
    whole, contents = request.with_contents()
    # Made before the server computes anything: a folder that cannot be written must not cost a generation.
    out.mkdir(parents=True, exist_ok=True)
    result, address = asyncio.run(_generate(whole, out, connection))
    stdout = Console()
    if not stdout.is_terminal:
        stdout = Console(width=160)  # piped into a file, the table must not be squeezed into 80 columns
    print_result(stdout, result, write_result(out, result, request.sent(contents, address)))
    print_warnings(Console(stderr=True), result)


async def _generate(request: Request, out: Path, connection: Connection) -> tuple[Result, str]:
    console = Console(stderr=True)  # progress is not output: stdout is for the list of files
    async with AsyncClient(connection.endpoint, credentials=connection.credentials) as client:
        generation = client.generate(request.task, **request.options)
        with make_display(console, request.variants) as display:
            async with generation:
                async for event in generation:
                    display.show(event)
                    if isinstance(event, StepProgress) and event.preview:
                        (out / f"preview-{event.variant + 1}.jpg").write_bytes(event.preview)
                return await generation, client.endpoint
