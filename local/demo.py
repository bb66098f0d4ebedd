"""`make demo`: starts a local cluster, makes pictures of the sample product in a new scene, and stops the cluster.

usage: python -m local.demo [--prompt TEXT] [--product FILE] [--out DIR] [--variants N] [--top-k K] [--seed S]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from local.cluster import Cluster, Options
from local.errors import StartError
from local.orchestrator import ROOT
from local.supervisor import Child

console = Console()


def main() -> int:
    """Runs the demo; the exit status is that of `backdrop background`, or 1 when the cluster cannot start."""
    options = _arguments()
    cluster = Cluster(Options(port=0, log_folder=options.out / "logs"), started=_print_service)
    console.print("Starting a local cluster: Redis, Triton with the reference models, the orchestrator …")
    try:
        with cluster:
            return _generate(options, cluster.endpoints.orchestrator)
    except StartError as problem:
        console.print(f"[red]{problem}[/red]")
        return 1
    except KeyboardInterrupt:
        return 130


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.demo", description="One generation on a local cluster.")
    parser.add_argument("--prompt", default="a beach at sunset", help="the scene, in words (default: %(default)s)")
    parser.add_argument("--product", type=Path, default=ROOT / "examples" / "product.png", help="the product photo")
    parser.add_argument("--out", type=Path, default=Path("demo-out"), help="where pictures go (default: %(default)s)")
    parser.add_argument("--variants", type=int, default=4, help="pictures to make (default: %(default)s)")
    parser.add_argument("--top-k", type=int, default=2, help="pictures to keep (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="seed of the first variant (default: the server's)")
    return parser.parse_args()


def _print_service(child: Child) -> None:
    console.print(f"  {child.service.name} at {child.service.endpoint}, log in {child.service.log}")


def _generate(options: argparse.Namespace, endpoint: str) -> int:
    command = [
        sys.executable, "-m", "backdrop", "background", "--endpoint", endpoint,
        "--product", str(options.product), "--prompt", options.prompt, "--out", str(options.out),
        "--variants", str(options.variants), "--top-k", str(options.top_k),
    ]  # fmt: skip
    if options.seed is not None:
        command += ["--seed", str(options.seed)]
    return subprocess.run(command, check=False).returncode  # noqa: S603 - our own command line


if __name__ == "__main__":
    sys.exit(main())
