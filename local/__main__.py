"""`python -m local`: the one-machine cluster in the foreground, until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rich.console import Console

from local.cluster import SERVICES, Cluster, Options
from local.errors import DiedTooOftenError, StartError
from local.supervisor import Child

DESCRIPTION = """\
Starts Redis, Triton and the orchestrator on this machine, prints their endpoints, and stops them on Ctrl-C or SIGTERM.
A service that dies is started again on its port, with a growing delay.
Exit code 0 after a clean stop, 1 if a service could not start or died several times in a row."""
LOOK_EVERY_S = 0.25


class Stopped(BaseException):
    """The launcher was asked to stop. Like KeyboardInterrupt it is no error, and passes through every handler."""


LAUNCHED_NICE = 10
"""Of the models of a cluster that people use."""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    defaults = Options()
    parser = argparse.ArgumentParser(prog="python -m local", description=DESCRIPTION)
    parser.add_argument("--port", type=int, default=defaults.port, help="the orchestrator's port; 0 for a free one")
    parser.add_argument("--metrics-port", type=int, default=0, help="the orchestrator's metrics port; 0 for a free one")
    parser.add_argument("--redis-port", type=int, default=0, help="Redis' port; 0 for a free one")
    parser.add_argument("--triton-port", type=int, default=0, help="the first Triton's gRPC port; 0 for a free one")
    parser.add_argument("--replicas", type=int, default=1, help="how many Tritons to start")
    parser.add_argument("--repository", type=Path, default=defaults.repository, help="the Triton model repository")
    parser.add_argument("--only", default=",".join(SERVICES), metavar="A,B", help="start only these services")
    parser.add_argument("--log-dir", type=Path, default=defaults.log_folder, help="where the services' logs go")
    parser.add_argument(
        "--models-nice",
        type=int,
        choices=range(20),
        default=LAUNCHED_NICE,
        metavar="N",
        help="weight of the models against other processes: 0 is normal, 19 the least (default: %(default)s, so that"
        " the orchestrator answers at once)",
    )
    parser.add_argument(
        "--otlp-endpoint", default="", metavar="URL", help="send traces to this OpenTelemetry collector"
    )
    parser.add_argument("--state-file", type=Path, metavar="FILE", help="write endpoints and pids here when ready")
    return parser.parse_args(arguments)


def options_of(arguments: argparse.Namespace) -> Options:
    """The cluster's options from the command line's."""
    return Options(
        repository=arguments.repository,
        log_folder=arguments.log_dir.resolve(),
        only=tuple(name.strip() for name in arguments.only.split(",") if name.strip()),
        port=arguments.port,
        metrics_port=arguments.metrics_port,
        redis_port=arguments.redis_port,
        triton_port=arguments.triton_port,
        triton_replicas=arguments.replicas,
        models_nice=arguments.models_nice,
        otlp_endpoint=arguments.otlp_endpoint,
    )


def on_signals() -> None:
    """Makes Ctrl-C and SIGTERM raise `Stopped`, once."""

    def handle(number: int, frame: FrameType | None) -> None:
        ignore_signals()
        raise Stopped

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)


def ignore_signals() -> None:
    """From here on the services are being stopped; a second Ctrl-C must not interrupt that."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def keep_running(cluster: Cluster, report: Callable[[str], None], state_file: Path | None) -> NoReturn:
    """Starts again what dies, and keeps the state file up to date; ends by raising.

    Raises:
        DiedTooOftenError: if a service died too often in a row.
    """
    restarter, pause = cluster.restarter(report), threading.Event()
    while True:
        if restarter.look() and state_file is not None:
            cluster.write_state(state_file)
        pause.wait(LOOK_EVERY_S)


def main(arguments: list[str] | None = None) -> int:
    """Runs the cluster; returns the exit code."""
    parsed, console = parse(arguments), Console(soft_wrap=True, highlight=False)
    errors = Console(stderr=True, soft_wrap=True, highlight=False)

    def announce(child: Child) -> None:
        service = child.service
        console.print(f"[bold]{service.name:<13}[/bold] {service.endpoint:<28} [dim]{service.log}[/dim]")

    def warn(sentence: str) -> None:
        errors.print(sentence, style="yellow", markup=False)

    cluster = Cluster(options_of(parsed), announce)
    on_signals()
    try:
        cluster.start()
        if parsed.state_file is not None:
            cluster.write_state(parsed.state_file)
        console.print("ready")
        keep_running(cluster, warn, parsed.state_file)
    except (StartError, DiedTooOftenError) as error:
        errors.print(str(error), style="red", markup=False)
        return 1
    except Stopped:
        console.print("stopping")
        return 0
    finally:
        ignore_signals()
        cluster.stop()
        if parsed.state_file is not None:
            parsed.state_file.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
