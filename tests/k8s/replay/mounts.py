"""A pod's volumes as folders, and its paths and addresses mapped to this machine."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.k8s.rendering import Manifest, of

TOKEN = "a-token-of-the-replay"


class NotThereError(AssertionError):
    """A manifest names a ConfigMap, Secret, key or volume that does not exist."""


@dataclass(frozen=True)
class Here:
    """The mapping of a container's paths and addresses to this machine.

    Attributes:
        paths: mount paths and the image's files → folders on this machine; the longest match wins.
        address: of the pod; it replaces 0.0.0.0, [::] and 127.0.0.1.
        names: DNS names of Services → addresses.
    """

    paths: Mapping[str, Path]
    address: str
    names: Mapping[str, str]

    def text(self, text: str) -> str:
        """The text with paths and addresses of this machine."""
        # One pass, so that a replacement, which may begin with /tmp, is not replaced again.
        # Redis writes all addresses of both families so; pods of one machine have one address each.
        everywhere = {"0.0.0.0 -::": self.address, "0.0.0.0": self.address, "[::]": self.address}
        hosts = {**self.names, **everywhere, "127.0.0.1": self.address}
        meant = {**{path: str(folder) for path, folder in self.paths.items()}, **hosts}
        # Only whole path components match: /store matches neither /storehouse nor /mnt/store. A client that follows a
        # Service through the API needs the Service's name, so kubernetes:// names stay.
        path, host = _any(self.paths), _any(hosts)
        pattern = rf"(?:(?<![\w./-]){path}|(?<![\w.-])(?<!kubernetes:///){host})(?![\w.-])"
        return re.sub(pattern, lambda match: meant[match[0]], text)


def _any(names: Iterable[str]) -> str:
    """A pattern that matches any of the texts, the longest first."""
    return "(?:" + "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True)) + ")"


class Volumes:
    """Folders for the volumes of one pod.

    Args:
        manifests: contain the ConfigMaps and Secrets.
        claims: folder of the persistent volumes, which pods share.
        own: folder of this pod.
        certificate: of the API server.
    """

    def __init__(self, manifests: list[Manifest], claims: Path, own: Path, certificate: Path) -> None:
        self._manifests = manifests
        self._claims = claims
        self._own = own
        self._certificate = certificate

    def make(self, pod: Manifest, name: str) -> dict[str, Path]:
        """Writes every volume; returns their folders by name. Contents are as in the manifests.

        Raises:
            NotThereError: a volume refers to an object that does not exist.
        """
        return {volume["name"]: self._one(volume, name) for volume in pod.get("volumes", [])}

    def _one(self, volume: Manifest, pod: str) -> Path:
        folder = self._own / str(volume["name"])
        if "persistentVolumeClaim" in volume:
            folder = self._claims / str(volume["persistentVolumeClaim"]["claimName"])
        folder.mkdir(parents=True, exist_ok=True)
        if "configMap" in volume or "secret" in volume:
            self._project(folder, volume)
        for source in volume.get("projected", {}).get("sources", []):
            self._project(folder, source)
        return folder

    def _project(self, folder: Path, source: Manifest) -> None:
        if "serviceAccountToken" in source:
            (folder / source["serviceAccountToken"]["path"]).write_text(TOKEN)
        for item in source.get("downwardAPI", {}).get("items", []):
            if item["fieldRef"]["fieldPath"] != "metadata.namespace":
                raise NotThereError(f"the replay knows no {item['fieldRef']['fieldPath']}")
            (folder / item["path"]).write_text("backdrop")
        for kind in ("configMap", "secret"):
            if kind in source:
                reference = source[kind]
                content = self._content(kind, reference.get("name") or reference["secretName"])
                for key, path in self._items(reference, content):
                    (folder / path).write_bytes(content[key])

    def _items(self, reference: Manifest, content: Mapping[str, bytes]) -> list[tuple[str, str]]:
        items = [(item["key"], item["path"]) for item in reference.get("items", [])] or [(key, key) for key in content]
        missing = [key for key, _ in items if key not in content]
        if missing:
            raise NotThereError(f"{reference} has no {missing[0]}")
        return items

    def _content(self, kind: str, name: str) -> dict[str, bytes]:
        if name == "kube-root-ca.crt":
            return {"ca.crt": self._certificate.read_bytes()}
        matches = of(self._manifests, {"configMap": "ConfigMap", "secret": "Secret"}[kind], name)
        if not matches:
            raise NotThereError(f"there is no {kind} {name}")
        plain = {key: value.encode() for key, value in matches[0].get("stringData", {}).items()}
        if kind == "configMap":
            return plain | {key: value.encode() for key, value in matches[0].get("data", {}).items()}
        return plain | {key: base64.b64decode(value) for key, value in matches[0].get("data", {}).items()}


def environment(container: Manifest, manifests: list[Manifest], uid: str, address: str) -> dict[str, str]:
    """The variables of a container's `env` and `envFrom`.

    Raises:
        NotThereError: a variable refers to an object that does not exist.
    """
    variables: dict[str, str] = {}
    for source in container.get("envFrom", []):
        config = of(manifests, "ConfigMap", source["configMapRef"]["name"])
        if not config:
            raise NotThereError(f"there is no ConfigMap {source['configMapRef']['name']}")
        variables |= config[0]["data"]
    fields = {"metadata.uid": uid, "status.podIP": address, "metadata.namespace": "backdrop"}
    for entry in container.get("env", []):
        path = entry.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
        if path is not None and path not in fields:
            raise NotThereError(f"the replay knows no {path}")
        variables[entry["name"]] = fields[path] if path else expanded([entry["value"]], variables)[0]
    return variables


def expanded(arguments: list[Any], variables: Mapping[str, str]) -> list[str]:
    """Arguments with $(NAME) replaced, as the kubelet does it: unknown names stay."""
    return [re.sub(r"\$\((\w+)\)", lambda m: variables.get(m[1], m[0]), str(argument)) for argument in arguments]
