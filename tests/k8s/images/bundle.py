"""A container of a manifest in the words of the OCI runtime specification, as a kubelet would ask for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.k8s.rendering import Manifest

_HIDDEN = ("/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/sched_debug", "/proc/timer_list", "/sys/firmware")
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
# The kernel's file systems as containerd mounts them.
_KERNEL: tuple[dict[str, Any], ...] = (
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64m"]},
    {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "nodev", "noexec", "size=64m"]},
    {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "nodev", "noexec", "ro"]},
)


@dataclass(frozen=True)
class Container:
    """One container of a pod.

    Attributes:
        root: the image's files.
        image: the image's settings.
        pod: the pod's spec.
        spec: the container's part of it.
        variables: its environment, on top of the image's.
        claims: folders of persistent volumes, by the volume's name in the pod.
    """

    root: Path
    image: Mapping[str, Any]
    pod: Manifest
    spec: Manifest
    variables: Mapping[str, str]
    claims: Mapping[str, Path]

    @property
    def mounts(self) -> list[dict[str, Any]]:
        """Its volumes: claims, and an emptyDir as a tmpfs. Secrets and tokens are not mounted."""
        volumes = {volume["name"]: volume for volume in self.pod.get("volumes", [])}
        mounts = []
        for mount in self.spec.get("volumeMounts", []):
            name, place = mount["name"], {"destination": mount["mountPath"]}
            if name in self.claims:
                access = "ro" if mount.get("readOnly") else "rw"
                mounts.append({**place, "type": "bind", "source": str(self.claims[name]), "options": ["bind", access]})
            elif "emptyDir" in volumes[name]:
                # 256Mi of Kubernetes is the kernel's 256m.
                size = volumes[name]["emptyDir"]["sizeLimit"].removesuffix("i").lower()
                options = ["nosuid", "nodev", "mode=1777", f"size={size}"]
                mounts.append({**place, "type": "tmpfs", "source": "tmpfs", "options": options})
        return mounts

    def oci(self, command: Sequence[str] = ()) -> dict[str, Any]:
        """The runtime's configuration; without a command, that of the manifest.

        The network is this machine's, since Redis and Triton listen on its loopback.
        """
        wide, narrow = self.pod["securityContext"], self.spec["securityContext"]
        capabilities = narrow["capabilities"]
        assert capabilities == {"drop": ["ALL"]}, f"other capabilities are not imitated: {capabilities}"
        manifest = [*self.spec["command"], *self.spec.get("args", [])]
        variables = {**dict(entry.split("=", 1) for entry in self.image["Env"]), **self.variables}
        return {
            "ociVersion": "1.0.2",
            "process": {
                "user": {
                    "uid": wide["runAsUser"], "gid": wide["runAsGroup"], "additionalGids": [wide["fsGroup"]],
                },
                "args": [*(command or manifest)],
                "env": [f"{key}={value}" for key, value in variables.items()],
                "cwd": self.image["WorkingDir"],
                "capabilities": {},
                "noNewPrivileges": not narrow["allowPrivilegeEscalation"],
            },
            "root": {"path": str(self.root), "readonly": narrow["readOnlyRootFilesystem"]},
            "hostname": self.spec["name"],
            "mounts": [*_KERNEL, *self.mounts],
            "linux": {
                "namespaces": [{"type": kind} for kind in ("ipc", "mount", "pid", "uts")],
                "maskedPaths": [*_HIDDEN],
                "readonlyPaths": [*_READ_ONLY],
            },
        }  # fmt: skip
