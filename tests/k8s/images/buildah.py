"""buildah's commands that are needed here: build an image, read its settings, mount its root."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.k8s.images import debian, packages
from tests.k8s.images.plan import Image
from tests.k8s.images.program import run
from tests.k8s.rendering import ROOT


def build(image: Image) -> str:
    """Builds an image with every foreign base replaced by the Debian; returns its id.

    Layers of earlier builds are used again. The tag is `localhost/backdrop/NAME:debian`.

    Raises:
        ProgramError: a step fails.
    """
    base = debian.image()
    with tempfile.TemporaryDirectory(prefix="backdrop-images-") as name:
        folder = Path(name)
        run(
            *("buildah", "build", "--isolation", "chroot", "--layers", "--force-rm", "--pull-never"),
            # OCI's format knows no HEALTHCHECK.
            *("--format", "docker"),
            *(f"--build-context={each}=container-image://{base}" for each in image.bases),
            *(f"--volume={here}:{there}:ro" for here, there in packages.write(folder)),
            *(("--target", image.target) if image.target else ()),
            *("--tag", f"localhost/backdrop/{image.name}:debian", "--iidfile", str(folder / "id")),
            *("--file", str(image.file), str(ROOT)),
        )
        return (folder / "id").read_text()


def settings(image_id: str) -> dict[str, Any]:
    """The image's own settings: `User`, `Env`, `Entrypoint`, `Cmd`, `WorkingDir`."""
    inspected = json.loads(run("buildah", "inspect", "--type", "image", image_id))
    config: dict[str, Any] = inspected["OCIv1"]["config"]
    return config


@contextlib.contextmanager
def mounted(image_id: str) -> Iterator[Path]:
    """The root folder of a container of the image, which goes with the block."""
    container = run("buildah", "from", "--pull-never", image_id).strip()
    try:
        yield Path(run("buildah", "mount", container).strip())
    finally:
        run("buildah", "rm", container)
