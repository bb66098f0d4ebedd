"""`python -m k8s.bundle OUT.tar.gz` packs the manifests into one archive, with the same bytes for the same content.

The archive is what a registry stores and cosign signs (docs/decisions/0036-one-artifact.md).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import sys
import tarfile
from pathlib import Path

from k8s import release

FOLDER = Path(__file__).parent
PARTS = ("base", "components", "overlays")


def pack(folder: Path = FOLDER) -> bytes:
    """A gzipped tar of the manifests: sorted names, and neither times nor owners."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file in sorted(file for part in PARTS for file in (folder / part).rglob("*") if file.is_file()):
            entry = tarfile.TarInfo(f"k8s/{file.relative_to(folder).as_posix()}")
            entry.size, entry.mode = file.stat().st_size, 0o644
            with file.open("rb") as stream:
                archive.addfile(entry, stream)
    return gzip.compress(content.getvalue(), mtime=0)


def main(arguments: list[str] | None = None, folder: Path = FOLDER) -> int:
    """Writes the archive and prints its digest; returns 0, or 1 with one sentence on stderr."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m k8s.bundle OUT.tar.gz\n")
        return 1
    named = release.read((folder / release.FILE.relative_to(FOLDER)).read_text())
    if missing := sorted(set(release.NAMES) - named.keys()):
        sys.stderr.write(
            f"{', '.join(missing)}: no image yet; name them by `python -m k8s.release NAME=REPO@sha256:…`\n"
        )
        return 1
    content = pack(folder)
    Path(arguments[0]).write_bytes(content)
    sys.stdout.write(f"sha256:{hashlib.sha256(content).hexdigest()}  {arguments[0]}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
