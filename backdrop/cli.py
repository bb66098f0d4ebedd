"""The command line: `backdrop up`, `backdrop info`, and a command for each task. Its work is in `backdrop/_cli/`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from backdrop import __version__
from backdrop._cli import campaign as campaign_command
from backdrop._cli import info as info_command
from backdrop._cli import load as load_command
from backdrop._cli import smoke as smoke_command
from backdrop._cli import task_command
from backdrop._cli import up as up_command
from backdrop._cli.connection import Connection, connected
from backdrop._cli.failures import EXIT_STATUSES, failures_as_sentences
from backdrop.contract.rules import TASKS as RULES
from backdrop.tasks import TASKS

app = typer.Typer(
    name="backdrop",
    help="Make pictures in which some pixels must stay as they are: a product in a new scene, a filled hole, a wider"
    " frame. `backdrop COMMAND --help` says more, with examples.",
    epilog=EXIT_STATUSES,
    no_args_is_help=True,
    # Tracebacks are for developers; users get a sentence from `failures_as_sentences`.
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Entry point of the `backdrop` command."""
    app()


def _print_version(version: bool) -> None:
    if version:
        typer.echo(f"backdrop {__version__}")
        raise typer.Exit


@app.callback()
def _global_flags(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


for _task in TASKS.values():
    app.command(
        task_command.name_of(_task),
        cls=task_command.TaskCommand,
        help=task_command.help_of(_task),
        short_help=RULES[_task.name].description,
        epilog=EXIT_STATUSES,
        rich_help_panel="Tasks",
    )(task_command.function_of(_task))

# Scripts use the name that the command had while there was one task.
app.command("generate", hidden=True, help="The old name of `backdrop background`; it takes the same flags.")(
    task_command.function_of(TASKS["background"])
)


@app.command(epilog=EXIT_STATUSES, rich_help_panel="Tasks")
@connected
def campaign(
    connection: Connection,
    file: Annotated[
        Path, typer.Argument(help='JSON lines: {"name": "mug-beach", "task": "background", "product": "mug.png", …}.')
    ],
    out: Annotated[Path, typer.Option(help="Folder for the results; each request has one of its name.")] = Path(
        "campaign"
    ),
    at_once: Annotated[int, typer.Option(min=1, max=256, help="Requests that are under way at the same time.")] = 8,
    retries: Annotated[
        int, typer.Option(min=0, help="How often each is tried again while no server answers or all are full.")
    ] = 120,
) -> None:
    """Make the pictures of many requests, each once.

    A line of the file is an object with a name, a task, and the task's flags without their dashes. A run that was
    stopped goes on where it was when the same command is typed again: requests whose folder is there are left out.
    examples/campaign.jsonl of the repository is an example.
    """
    campaign_command.run(file, out, connection, at_once=at_once, retries=retries)


@app.command(
    epilog="All other options are passed to the cluster unchanged.",
    rich_help_panel="Server",
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


@app.command(epilog=EXIT_STATUSES, rich_help_panel="Server")
@connected
def info(
    connection: Connection,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    wait: Annotated[float, typer.Option(min=0, help="Wait up to this many seconds until the server is ready.")] = 0.0,
) -> None:
    """Show what the server serves: pipelines, limits, models. Exits with 0 once it is ready, else with 3."""
    info_command.run(connection, as_json=json, wait_s=wait)


@app.command(epilog=EXIT_STATUSES, rich_help_panel="Server")
@connected
def smoke(
    connection: Connection,
    wait: Annotated[float, typer.Option(min=0, help="Wait up to this many seconds until the server is ready.")] = 60.0,
    timeout: Annotated[float, typer.Option(min=1, help="Longest time of each picture, in seconds.")] = 300.0,
) -> None:
    """Make one small picture with every pipeline, and say what is wrong with it. For use after a rollout."""
    smoke_command.run(connection, wait_s=wait, timeout_s=timeout)


@app.command(epilog=EXIT_STATUSES, rich_help_panel="Server")
@connected
def load(
    connection: Connection,
    rate: Annotated[float, typer.Option(min=0.001, help="Requests a second, whatever the server answers.")] = 1.0,
    seconds: Annotated[float, typer.Option(min=1, help="How long to send.")] = 60.0,
    pipeline: Annotated[str, typer.Option(help="Default: the server's.")] = "",
    steps: Annotated[int | None, typer.Option(min=1, help="Default: the pipeline's.")] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Deadline of each request, in seconds.")] = 120.0,
    max_p95: Annotated[float | None, typer.Option(min=0, help="Fail if p95 is longer, in seconds.")] = None,
    max_failed: Annotated[
        float | None, typer.Option(min=0, max=1, help="Fail if a larger fraction of the requests gets no picture.")
    ] = None,
) -> None:
    """Send requests at a steady rate, and print rate, durations and errors as JSON."""
    sent = load_command.Load(rate, seconds, pipeline, steps, timeout)
    load_command.run(connection, sent, load_command.Bounds(max_p95, max_failed), wait_s=60.0)
