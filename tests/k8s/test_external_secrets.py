"""The component `external-secrets`: every Secret that something mounts comes from the store, with the right keys."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from k8s import redis_auth
from tests.k8s.rendering import Manifest, combine, of, pod, workloads

EVERYTHING = ("monitoring", "backup", "gateway", "identity", "identity/gateway")
COMPONENTS = ("external-secrets", "external-secrets/identity", "external-secrets/gateway")


def keys(external: Manifest) -> set[str]:
    """The keys of the Secret that the operator makes: those of the template's data, if it has some, else all."""
    template = external["spec"]["target"].get("template", {}).get("data")
    return set(template or [entry["secretKey"] for entry in external["spec"]["data"]])


def needed(manifests: list[Manifest]) -> set[tuple[str, str]]:
    """Secrets and keys that pods mount and listeners name."""
    pairs = set()
    for workload in workloads(manifests):
        secrets = [volume["secret"] for volume in pod(workload)["volumes"] if "secret" in volume]
        for secret in secrets:
            names = [item["key"] for item in secret.get("items", [])] or [""]
            pairs |= {(secret["secretName"], name) for name in names}
    for gateway in of(manifests, "Gateway"):
        for listener in gateway["spec"]["listeners"]:
            pairs |= {
                (ref["name"], key) for ref in listener["tls"]["certificateRefs"] for key in ("tls.crt", "tls.key")
            }
    return pairs


@pytest.mark.parametrize("name", [pytest.param("cpu", marks=pytest.mark.full), "production"])
def test_every_secret_comes_from_the_store(tmp_path: Path, name: str) -> None:
    manifests = combine(tmp_path, name, (*EVERYTHING, *COMPONENTS))
    stored = {external["spec"]["target"]["name"]: keys(external) for external in of(manifests, "ExternalSecret")}
    assert {secret for secret, _ in needed(manifests)} == stored.keys()
    assert {(secret, key) for secret, key in needed(manifests) if key and key not in stored[secret]} == set()
    assert of(manifests, "Secret") == []
    # Two writers of one Secret would undo each other.
    assert {certificate["spec"]["secretName"] for certificate in of(manifests, "Certificate")} & stored.keys() == set()


def test_files_of_identity_are_what_its_settings_name(tmp_path: Path) -> None:
    manifests = combine(tmp_path, "production", (*EVERYTHING, *COMPONENTS))
    stored = {external["spec"]["target"]["name"]: keys(external) for external in of(manifests, "ExternalSecret")}
    (config,) = [m for m in of(manifests, "ConfigMap") if m["metadata"]["name"].startswith("orchestrator-settings")]
    files = {Path(value).name for name, value in config["data"].items() if name.endswith("_FILE")}
    assert stored["orchestrator-keys"] | stored["orchestrator-tls"] | {"password"} <= files


def test_the_template_is_what_the_command_writes(tmp_path: Path) -> None:
    (external,) = of(combine(tmp_path, "production", ("external-secrets",)), "ExternalSecret", "redis-auth")
    passwords = {name: f"password-of-{name}" for name in redis_auth.USERS}
    assert {entry["secretKey"] for entry in external["spec"]["data"]} == passwords.keys()
    written = {
        key: re.sub(r"\{\{ \.(\w+) \}\}", lambda match: passwords[match[1]], text)
        for key, text in external["spec"]["target"]["template"]["data"].items()
    }
    assert written == redis_auth.files(passwords)


def test_the_store_is_named_once(tmp_path: Path) -> None:
    manifests = combine(tmp_path, "production", (*EVERYTHING, *COMPONENTS))
    stores = [external["spec"]["secretStoreRef"] for external in of(manifests, "ExternalSecret")]
    assert len(stores) == 4
    assert all(store == {"kind": "ClusterSecretStore", "name": "backdrop"} for store in stores)
