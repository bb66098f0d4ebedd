"""Containers run by runc: once to their end, or as a service of the local cluster's supervisor."""

from __future__ import annotations

import contextlib
import json
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from local.health import serving
from local.supervisor import Service, Supervisor
from tests.k8s.images.bundle import Container
from tests.k8s.images.program import run


@contextlib.contextmanager
def prepared(container: Container, folder: Path, command: Sequence[str] = ()) -> Iterator[tuple[str, ...]]:
    """The command line that runs the container in the foreground; what is left of it goes with the block."""
    name = f"backdrop-{container.spec['name']}-{secrets.token_hex(4)}"
    bundle, runc = folder / name, ("runc", "--root", str(folder / "runc"))
    bundle.mkdir(parents=True)
    (bundle / "config.json").write_text(json.dumps(container.oci(command)))
    try:
        yield (*runc, "run", "--bundle", str(bundle), name)
    finally:
        # After a SIGKILL of runc its state and its control groups would stay.
        subprocess.run([*runc, "delete", "--force", name], capture_output=True, check=False)


def once(container: Container, folder: Path, command: Sequence[str] = ()) -> str:
    """Runs the container to its end; returns what it printed.

    Raises:
        ProgramError: its exit status is not 0.
    """
    with prepared(container, folder, command) as line:
        return run(*line)


@contextlib.contextmanager
def served(container: Container, folder: Path, endpoint: str) -> Iterator[Path]:
    """Runs the container as a service that answers health checks at `endpoint`; yields its log.

    It is stopped by SIGTERM, with the pod's grace period.

    Raises:
        StartError: it does not become ready.
    """
    supervisor, log = Supervisor(), folder / f"{container.spec['name']}.log"
    with prepared(container, folder) as line:
        grace_s = float(container.pod["terminationGracePeriodSeconds"])
        try:
            supervisor.start(
                Service(container.spec["name"], line, endpoint, log, lambda: serving(endpoint), grace_s=grace_s)
            )
            yield log
        finally:
            supervisor.stop()
