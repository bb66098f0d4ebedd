"""Writes the result of a generation: pictures by rank, result.json, and the table on the screen."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from backdrop._cli.contact_sheet import save_contact_sheet
from backdrop._cli.flags import with_flags
from backdrop._events import Receipt, Result, Scores

_EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}


@dataclasses.dataclass(frozen=True)
class Sent:
    """What was sent; goes into result.json together with the result."""

    prompt: str
    negative_prompt: str
    endpoint: str
    files: Mapping[str, str]
    """Names of the task's files, by field."""
    picture: bytes | None
    """The first of them, encoded; None where the task takes no picture."""
    style: tuple[tuple[str, float], ...]
    """Name and weight of each style picture."""


def write_result(folder: Path, result: Result, sent: Sent) -> list[Path]:
    """Writes all files into `folder` and returns their paths, pictures first. Raises OSError.

    A receipt's map of what changed is a file beside its picture.
    """
    files = []
    for rank, picture in enumerate(result.pictures, 1):
        files.append(folder / f"{rank}.{_EXTENSIONS.get(picture.media_type, 'bin')}")
        picture.save(files[-1])
    names = [path.name for path in files]
    for file, picture in zip(list(files), result.pictures, strict=True):
        if picture.receipt is not None and picture.receipt.changes is not None:
            files.append(file.with_name(f"{file.stem}_changes.png"))
            files[-1].write_bytes(picture.receipt.changes.map)
    description = folder / "result.json"
    description.write_text(json.dumps(_describe(result, sent, names), indent=2, ensure_ascii=False) + "\n", "utf-8")
    sheet = folder / "contact_sheet.png"
    save_contact_sheet(sheet, sent.picture, result, sent.prompt)
    return [*files, description, sheet]


def print_result(console: Console, result: Result, files: list[Path]) -> None:
    """Prints the ranking and the paths of the files."""
    first = result.pictures[0].scores
    table = Table("rank", "file", *(("score", *first.heads) if first else ()))
    table.add_column("seed", no_wrap=True)  # is there to be copied
    table.add_column("known pixels")
    layouts = max(picture.layout for picture in result.pictures) + 1
    for picture, file in zip(result.pictures, files, strict=False):
        rank = str(picture.rank + 1)
        table.add_row(
            rank if layouts == 1 else f"{rank} of layout {picture.layout + 1}",
            file.name,
            *_scores(picture.scores),
            str(picture.seed),
            _kept(picture.receipt),
        )
    console.print(table)
    for path in files:
        console.print(str(path), markup=False, highlight=False, soft_wrap=True)


def _scores(scores: Scores | None) -> list[str]:
    """The columns of a picture's scores; none where nothing was scored."""
    return [] if scores is None else [f"{scores.total:.3f}", *(f"{score:.2f}" for score in scores.heads.values())]


def _kept(receipt: Receipt | None) -> str:
    if receipt is None:
        return "none"
    if receipt.max_difference:
        return f"differ by {receipt.max_difference}"
    if receipt.changes is not None and receipt.changes.changed_pixels:
        return f"border changed by {receipt.changes.mean_difference:.1f} in the mean"
    return "exact" if receipt.exact else f"exact in {receipt.compared_fraction:.0%} of them"


def print_warnings(console: Console, result: Result) -> None:
    """Prints a line for each warning."""
    for each in result.warnings:
        console.print(f"[yellow]warning[/yellow] {escape(with_flags(each.message))}", highlight=False, soft_wrap=True)


def to_json(value: Any) -> Any:
    """Returns dataclasses, mappings and tuples as JSON values, without bytes."""
    if dataclasses.is_dataclass(value):
        fields = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {name: to_json(part) for name, part in fields if not isinstance(part, bytes)}
    if isinstance(value, Mapping):
        return {key: to_json(part) for key, part in sorted(value.items())}
    if isinstance(value, tuple | list):
        return [to_json(part) for part in value]
    return value


def _describe(result: Result, sent: Sent, names: list[str]) -> dict[str, Any]:
    described: dict[str, Any] = to_json(result)
    pictures = zip(names, result.pictures, strict=True)
    # Ranks count from 1 here, as the files' names do.
    described["pictures"] = [{"file": name, **to_json(picture), "rank": picture.rank + 1} for name, picture in pictures]
    return {
        "request_id": described.pop("request_id"),
        "endpoint": sent.endpoint,
        **sent.files,
        "prompt": sent.prompt,
        "negative_prompt": sent.negative_prompt,
        "style_images": [{"file": name, "weight": weight} for name, weight in sent.style],
        "contact_sheet": "contact_sheet.png",
        **described,
    }
