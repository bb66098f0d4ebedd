"""The base of the builds: Debian with Python 3.11 by debootstrap, made once and kept in buildah's storage."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.k8s.images.program import run

SUITE = "bookworm"
PACKAGES = ("ca-certificates", "python-is-python3", "python3", "python3-pip")
TAG = f"localhost/backdrop/debian-python:{SUITE}"


def image() -> str:
    """The tag of the base, which is made if it is not there (some minutes).

    Raises:
        ProgramError: debootstrap fails.
    """
    if not run("buildah", "images", "--quiet", "--filter", f"reference={TAG}").strip():
        _make()
    return TAG


def _make() -> None:
    container = run("buildah", "from", "scratch").strip()
    try:
        root = Path(run("buildah", "mount", container).strip())
        run("debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(root), *mirror())
        for cache in ("var/cache/apt/archives", "var/lib/apt/lists"):
            shutil.rmtree(root / cache)
        run("buildah", "commit", "--quiet", "--format", "docker", container, TAG)
    finally:
        run("buildah", "rm", container)


def mirror() -> list[str]:
    """The archive from which apt takes the suite on this machine; none for debootstrap's own default."""
    if shutil.which("apt-get") is None:
        return []
    rows = run("apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)", "Created-By: Packages").splitlines()
    return [row.split()[1] for row in rows if row.split()[0] == SUITE][:1]
