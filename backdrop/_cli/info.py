"""The work behind `backdrop info`: what a server serves, as tables or JSON."""

from __future__ import annotations

import asyncio
import json

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from backdrop._cli.connection import Connection
from backdrop._cli.report import to_json
from backdrop._client import AsyncClient
from backdrop._info import Info, Pipeline


def run(connection: Connection, *, as_json: bool, wait_s: float) -> None:
    """Prints what a server serves; waits up to `wait_s` seconds for it. Raises BackdropError."""
    info, address = asyncio.run(_fetch(connection, wait_s))
    if as_json:
        typer.echo(json.dumps({"endpoint": address, **to_json(info)}, indent=2, ensure_ascii=False))
    else:
        _print(info, address)


async def _fetch(connection: Connection, wait_s: float) -> tuple[Info, str]:
    async with AsyncClient(connection.endpoint, credentials=connection.credentials) as client:
        info = await (client.wait_ready(wait_s) if wait_s > 0 else client.info())
        return info, client.endpoint


def _print(info: Info, endpoint: str) -> None:
    console = Console()
    replicas = "1 replica" if info.ready_replicas == 1 else f"{info.ready_replicas} replicas"
    console.print(f"[bold]{escape(endpoint)}[/] is ready: Backdrop {info.server_version}, {replicas}", highlight=False)
    limits = info.limits
    table = Table("limit", "value", title="Limits", title_justify="left")
    table.add_row("variants a request", str(limits.max_variants))
    table.add_row("steps", str(limits.max_steps))
    table.add_row("style pictures", str(limits.max_style_images))
    table.add_row("products of a scene", str(limits.max_products))
    table.add_row("colours of a palette", str(limits.max_palette_colours))
    table.add_row("layouts of a request", str(limits.max_layouts))
    table.add_row("pixels of a picture", f"{limits.max_pixels:,}")
    table.add_row("bytes of a request", f"{limits.max_request_bytes:,}")
    table.add_row("requests running, waiting", f"{limits.max_running}, {limits.max_queued}")
    table.add_row("idempotency keys kept", f"{limits.idempotency_ttl_s:,.0f} s")
    console.print(table)
    if info.quotas:
        quotas = Table("quota", "used", "limit", title="Quotas of this tenant", title_justify="left")
        for quota in info.quotas:
            quotas.add_row(quota.name.replace("_", " "), f"{quota.used:,.6g}", f"{quota.limit:,.6g}")
        console.print(quotas)
    tasks = Table("task", "makes", title="Tasks", title_justify="left")
    for task in info.tasks:
        tasks.add_row(task.name, task.description)
    console.print(tasks)
    for pipeline in info.pipelines:
        _print_pipeline(console, pipeline, default=pipeline.name == info.default_pipeline)


def _print_pipeline(console: Console, pipeline: Pipeline, *, default: bool) -> None:
    title = f"Pipeline {escape(pipeline.name)}" + (" (default)" if default else "")
    facts = Table("setting", "value", title=title, title_justify="left")
    facts.add_row("description", escape(pipeline.description))
    facts.add_row("tasks", ", ".join(pipeline.tasks))
    facts.add_row("scene sizes", ", ".join(f"{width}×{height}" for width, height in pipeline.scene_sizes))
    facts.add_row("schedulers", ", ".join(pipeline.schedulers))
    facts.add_row(
        "defaults",
        f"{pipeline.default_steps} steps of {pipeline.default_scheduler}, guidance {pipeline.default_guidance_scale:g}",
    )
    style = f"yes, image scale {pipeline.default_image_scale:g}" if pipeline.takes_style_images else "no"
    facts.add_row("style pictures", style)
    facts.add_row("adapters", _adapters(pipeline))
    facts.add_row("prompt", f"up to {pipeline.max_prompt_tokens} tokens")
    facts.add_row("scores", ", ".join(pipeline.reward_heads) or "none: pictures come in the order of their variants")
    masks = "made where none is sent" if pipeline.has_segmenter else "must be sent: no segmenter"
    facts.add_row("masks", masks)
    factors = ", ".join(f"{factor}×" for factor in pipeline.upscale_factors)
    facts.add_row("upscaling", factors or "none: scenes are enlarged by resampling")
    console.print(facts)
    models = Table("role", "model", "version", "fingerprint")
    for model in pipeline.models:
        models.add_row(model.role, model.name, model.version, model.fingerprint[:19] + "…")
    console.print(models)


def _adapters(pipeline: Pipeline) -> str:
    names = ", ".join(adapter.name for adapter in pipeline.adapters)
    return f"{escape(names)}; up to {pipeline.max_adapters} at once" if names else "none"
