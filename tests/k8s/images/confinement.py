"""What a container may do, asked from inside it: its user, its rights, and every folder that it can write to."""

from __future__ import annotations

import json
from pathlib import Path

from tests.k8s.images.bundle import Container
from tests.k8s.images.runtime import once

_QUOTED = 3
_PROBE = """
import json, os
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
kernel = ("/proc", "/sys", "/dev")
def walk(folder):
    if folder not in kernel:
        yield folder
        for entry in os.scandir(folder) if os.access(folder, os.R_OK | os.X_OK) else ():
            if entry.is_dir(follow_symlinks=False):
                yield from walk(entry.path)
print(json.dumps({
    "user": [os.getuid(), os.getgid()],
    "capabilities": int(status["CapEff"], 16) | int(status["CapBnd"], 16),
    "may gain privileges": status["NoNewPrivs"].strip() != "1",
    "writable": sorted(path for path in walk("/") if os.access(path, os.W_OK)),
    "root is read-only": bool(os.statvfs("/").f_flag & os.ST_RDONLY),
}))
"""


def problems(container: Container, folder: Path) -> list[str]:
    """Where the container can do more than the manifest and the image's own user allow; empty as it should be."""
    name, user = container.spec["name"], container.image["User"]
    seen = json.loads(once(container, folder, ["python", "-c", _PROBE]))
    ids = ":".join(map(str, seen["user"]))
    volumes = {mount["destination"] for mount in container.mounts if "ro" not in mount["options"]}
    others, lacking = sorted(set(seen["writable"]) - volumes), sorted(volumes - set(seen["writable"]))
    checks = {
        f"runs as {ids}, and its image says {user}": ids == user,
        f"has capabilities {seen['capabilities']:x}": not seen["capabilities"],
        "may gain privileges": not seen["may gain privileges"],
        "has a writable root": seen["root is read-only"],
        f"can write to {len(others)} folders that are no volumes, such as {others[:_QUOTED]}": not others,
        f"cannot write to its volumes {lacking}": not lacking,
    }
    return [f"{name} {words}" for words, good in checks.items() if not good]
