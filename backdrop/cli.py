"""The command line: `backdrop up`, `backdrop generate`, `backdrop info`. Options here, work in `backdrop/_cli/`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from backdrop import __version__
from backdrop._cli import generate as generate_command
from backdrop._cli import info as info_command
from backdrop._cli import up as up_command
from backdrop._cli.failures import EXIT_STATUSES, failures_as_sentences
from backdrop._cli.values import parse_keep, parse_placement, parse_size, parse_style, parse_window
from backdrop._enums import HorizontalAlignment, VerticalAlignment

app = typer.Typer(
    name="backdrop",
    help="Put a product photo into a new scene, without touching the product.",
    epilog=EXIT_STATUSES,
    no_args_is_help=True,
    add_completion=False,
    # Tracebacks are for developers; users get a sentence from `failures_as_sentences`.
    pretty_exceptions_enable=False,
)

Endpoint = Annotated[
    str | None,
    typer.Option(envvar="BACKDROP_ENDPOINT", metavar="HOST:PORT", help="The server. Default: 127.0.0.1:50061."),
]


def main() -> None:
    """Entry point of the `backdrop` command."""
    app()


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"backdrop {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command(
    epilog="What else is given goes to the cluster as it is.",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def up(
    context: typer.Context,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the gRPC service; 0 = any free one.")] = 50061,
    metrics_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of the Prometheus metrics. Default: the cluster's own.")
    ] = None,
    repository: Annotated[
        Path | None, typer.Option(help="The Triton model repository. Default: triton_repo in the checkout.")
    ] = None,
    log_dir: Annotated[Path | None, typer.Option(help="Where the servers log. Default: the cluster's own.")] = None,
) -> None:
    """Start the one-machine cluster of this checkout and keep it running until Ctrl-C."""
    with failures_as_sentences():
        arguments = [f"--port={port}"]
        if metrics_port is not None:
            arguments.append(f"--metrics-port={metrics_port}")
        if repository is not None:
            # The cluster starts in the checkout: paths must not depend on where this command was typed.
            repository = repository.resolve()
            arguments.append(f"--repository={repository}")
        if log_dir is not None:
            arguments.append(f"--log-dir={log_dir.resolve()}")
        up_command.run([*arguments, *context.args], repository)


@app.command(epilog=EXIT_STATUSES)
def generate(
    product: Annotated[
        Path, typer.Option(help="The product photo: PNG, JPEG or WebP, at most 16 megapixels; alpha is its mask.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the pictures, result.json and contact_sheet.png.")],
    prompt: Annotated[str, typer.Option(help="The scene, in words.")] = "",
    mask: Annotated[
        Path | None, typer.Option(help="Where the product is, of the photo's size: white = product, black = scene.")
    ] = None,
    negative_prompt: Annotated[str, typer.Option(help="What to keep out; read while guidance is on.")] = "",
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Size of the pictures, 64 to 4096 a side. Default: the photo's.")
    ] = None,
    padding: Annotated[
        float | None,
        typer.Option(help="Free space around the product, 0.0 to 0.45 of the shorter side. Default: 0.15."),
    ] = None,
    align: Annotated[HorizontalAlignment | None, typer.Option(help="Where it stands. Default: center.")] = None,
    valign: Annotated[VerticalAlignment | None, typer.Option(help="Where it stands. Default: center.")] = None,
    box: Annotated[
        str | None, typer.Option(metavar="X,Y,W,H", help="Place the product in this rectangle of the picture instead.")
    ] = None,
    variants: Annotated[int, typer.Option(help="How many pictures to make, 1 to the server's limit.")] = 1,
    top_k: Annotated[int, typer.Option(help="How many of them to keep, best first; 0 = all.")] = 0,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the first variant, 0 to 2^63-1. Default: the server's choice.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Denoising steps, 1 to the server's limit. Default: the pipeline's.")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(help="ddim, euler, dpmpp_2m, ddpm, lcm or flow_euler, as the pipeline has. Default: its own."),
    ] = None,
    guidance_scale: Annotated[float | None, typer.Option(help="1.0 (off) to 20.0. Default: the pipeline's.")] = None,
    format: Annotated[  # noqa: A002  (the option's name)
        str, typer.Option(help="png (keeps the product exact), jpeg or webp.")
    ] = "png",
    pipeline: Annotated[str, typer.Option(help="One of `backdrop info`. Default: the server's.")] = "",
    style: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PICTURE[:WEIGHT]",
            help="A picture whose look the scene takes on; may be given several times. Default weight: 1.",
        ),
    ] = None,
    image_scale: Annotated[
        float | None, typer.Option(help="How strongly the scene follows them, 0.0 to 2.0. Default: the pipeline's.")
    ] = None,
    priority: Annotated[str, typer.Option(help="How soon it is wanted: interactive, standard or bulk.")] = "standard",
    guidance_window: Annotated[
        str | None,
        typer.Option(metavar="START-STOP", help="The part of the steps that are guided, as 0.0-0.7. Default: all."),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            metavar="N[@AFTER],…",
            help="Give up the weaker variants on the way: 3@draft6 finishes the three with the best drafts of 6 steps;"
            " 2 finishes two, chosen after half of the steps; 5@0.4,3@0.6 goes on with five after 0.4 of the steps,"
            " and with three after 0.6. Default: all.",
        ),
    ] = None,
    idempotency_key: Annotated[
        str, typer.Option(help="The same key and request again give the first result. Default: a new key.")
    ] = "",
    preview: Annotated[
        bool, typer.Option("--preview", help="Write preview-N.jpg after every second step of a variant.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=0.001, help="Longest that it may take, in seconds.")] = 600.0,
    endpoint: Endpoint = None,
) -> None:
    """Make pictures of the product in the scene of the prompt, and rank them."""
    with failures_as_sentences():
        arguments = {
            "mask": mask,
            "prompt": prompt,
            "negative_prompt": negative_prompt,
            "output_size": parse_size(size),
            "placement": parse_placement(padding, align, valign, box),
            "variants": variants,
            "top_k": top_k,
            "seed": seed,
            "steps": steps,
            "scheduler": scheduler,
            "guidance_scale": guidance_scale,
            "output_format": format,
            "pipeline": pipeline,
            "style_images": [parse_style(text) for text in style or ()],
            "image_scale": image_scale,
            "priority": priority,
            "guidance_window": parse_window(guidance_window),
            "early_dropping": parse_keep(keep),
            "idempotency_key": idempotency_key,
            "preview_every": 2 if preview else 0,
        }
        generate_command.run(
            generate_command.Order(endpoint=endpoint, product=product, out=out, timeout_s=timeout, arguments=arguments)
        )


@app.command(epilog=EXIT_STATUSES)
def info(
    endpoint: Endpoint = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    wait: Annotated[float, typer.Option(min=0, help="Wait up to this many seconds until the server is ready.")] = 0.0,
) -> None:
    """Show what the server serves: pipelines, limits, models. Exits with 0 once it is ready, else with 3."""
    with failures_as_sentences():
        info_command.run(endpoint, as_json=json, wait_s=wait)
