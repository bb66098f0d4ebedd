"""`python -m k8s.release NAME=REPOSITORY@sha256:…` sets the images of the production overlay, by digest only.

A tag can be moved to another image, a digest cannot. Images that the command does not name stay unchanged.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

FILE = Path(__file__).parent / "overlays" / "production" / "images" / "kustomization.yaml"
NAMES = ("engine-builder", "models", "orchestrator")
HEAD = """\
# Written by `python -m k8s.release NAME=REPOSITORY@sha256:…`. Empty before the first release.
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
"""
_NAMED_JOB = """\
# A Job cannot be changed, so each release of models has its own.
patches:
  - target: {{ kind: Job, name: publish-models }}
    options: {{ allowNameChange: true }}
    patch: |
      - {{ op: replace, path: /metadata/name, value: publish-models-{} }}
"""
_ARGUMENT = re.compile(r"(?P<name>[a-z-]+)=(?P<repository>[a-z0-9][\w./:-]*)@(?P<digest>sha256:(?!0{64})[0-9a-f]{64})")
_WRITTEN = re.compile(r"  - \{ name: (\S+), newName: (\S+), digest: (\S+) \}")


def read(text: str) -> dict[str, tuple[str, str]]:
    """Name → (repository, digest) of a written file."""
    rows = [match for line in text.splitlines() if (match := _WRITTEN.match(line))]
    return {row[1].rpartition("/")[2]: (row[2], row[3]) for row in rows}


def render(images: dict[str, tuple[str, str]]) -> str:
    """The file's text for these images, which replace the placeholders of the base."""
    if not images:
        return HEAD + "images: []\n"
    rows = [
        f"  - {{ name: registry.invalid/backdrop/{name}, newName: {repository}, digest: {digest} }}"
        for name, (repository, digest) in sorted(images.items())
    ]
    text = HEAD + "images:\n" + "\n".join(rows) + "\n"
    return text + _NAMED_JOB.format(images["models"][1].removeprefix("sha256:")[:10]) if "models" in images else text


def main(arguments: list[str] | None = None, file: Path = FILE) -> int:
    """Writes the file; returns 0, or 1 with one sentence on stderr."""
    images = read(file.read_text())
    for argument in sys.argv[1:] if arguments is None else arguments:
        match = _ARGUMENT.fullmatch(argument)
        if match is None or match["name"] not in NAMES:
            sys.stderr.write(f"{argument!r} is not NAME=REPOSITORY@sha256:…, with NAME one of {', '.join(NAMES)}.\n")
            return 1
        images[match["name"]] = (match["repository"], match["digest"])
    file.write_text(render(images))
    for name in sorted(set(NAMES) - images.keys()):
        sys.stdout.write(f"{name} has no image yet\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
