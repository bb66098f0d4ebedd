"""Versions of a model: a changed model gets the next number, the version before stays until it is pruned."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from export.configs import VERSION
from export.contract import Contract
from export.errors import ExportError
from export.files import CONFIG, CONFIGS, digest, fingerprint, model_files
from export.repository import read_pipelines, write_pipelines_file

OWN = ("fingerprint", "precision", "adapters")
"""What a version has for itself in `pipeline.json`, beside its files; adapters are rows of its bank."""


def add_version(folder: Path, served: Path, entry: Mapping[str, Any], contract: Contract) -> tuple[str, dict[str, Any]]:
    """Numbers a model that was just exported, and copies its earlier versions into its folder.

    Args:
        folder: The exported model, with its files in version folder 1.
        served: The model's folder in the repository that is replaced.
        entry: The model's entry in that repository's `pipeline.json`.
        contract: What it takes and gives.

    Returns:
        Its version: the served one if nothing has changed, else the next; and the entries of the earlier versions.

    Raises:
        ExportError: if the two cannot stand in one folder, because Triton has one config for all versions.
    """
    current, previous = str(entry["version"]), dict(entry.get("previous", {}))
    renumber(folder, current)
    changed = fingerprint(model_files(folder, current)) != entry["fingerprint"]
    if changed:
        expect_same_interface(folder, served, entry, contract)
        previous[current] = version_entry(entry)
        following = str(max(int(version) for version in previous) + 1)
        renumber(folder, following, current)
        current = following
    for version in previous:
        shutil.copytree(served / version, folder / version)
    return current, dict(sorted(previous.items(), key=lambda item: int(item[0])))


def version_entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What `pipeline.json` keeps of the served version once another is served: all that differs between versions."""
    files = {name: value for name, value in entry["files"].items() if name.startswith(f"{entry['version']}/")}
    return {"precision": "fp32", **{key: entry[key] for key in OWN if key in entry}, "files": files}


def renumber(folder: Path, version: str, old: str = VERSION) -> None:
    """Renames a version folder."""
    if version != old:
        (folder / old).rename(folder / version)


def expect_same_interface(folder: Path, served: Path, entry: Mapping[str, Any], contract: Contract) -> None:
    """Refuses a next version whose tensors or tokenizer are not those of the one before."""
    for kind, specs in (("inputs", contract.inputs), ("outputs", contract.outputs)):
        before = {spec["name"]: (spec["dtype"], tuple(spec["shape"])) for spec in entry[kind]}
        now = {spec.name: (spec.dtype, spec.dims) for spec in specs}
        if before != now:
            name = sorted({*before.items()} ^ {*now.items()})[0][0]
            raise ExportError(
                f"{folder.name}: {name} is not the same in version {entry['version']}, and one config serves both; "
                f"export without --rollout."
            )
    tokenizer = "tokenizer.json"
    if (folder / tokenizer).is_file() and entry["files"].get(tokenizer) != f"sha256:{digest(folder / tokenizer)}":
        raise ExportError(
            f"{folder.name}: version {entry['version']} has another tokenizer, and one folder has one; "
            f"export without --rollout."
        )


def switch(repository: Path, model: str, version: str) -> None:
    """Serves another of a model's versions; the one that was served stays beside it.

    Raises:
        ExportError: if there is no such model or version.
    """
    content = read_pipelines(repository)
    entry = entry_of(content, repository, model)
    previous = entry.get("previous", {})
    if version == entry["version"]:
        return
    if version not in previous:
        there = ", ".join([*previous, entry["version"]])
        raise ExportError(f"{repository}/{model} has no version {version}; there are {there}.")
    chosen, current = previous.pop(version), entry["version"]
    previous[current] = version_entry(entry)
    folder = repository / model
    for config in (folder / CONFIG, *sorted((folder / CONFIGS).glob("*.pbtxt"))):
        # Both lines are written by `configs.py`; nothing else in a config depends on the version.
        text = config.read_text(encoding="utf-8").replace(entry["fingerprint"], chosen["fingerprint"])
        text = re.sub(r"version_policy: .*\n", "", text)
        policy = f"version_policy: {{ specific {{ versions: [ {version} ] }} }}\n"
        making = config.with_name(f".{config.name}")
        making.write_text(text.replace("max_batch_size:", f"{policy}max_batch_size:", 1), encoding="utf-8")
        making.replace(config)
    entry.pop("adapters", None)
    entry |= {key: chosen[key] for key in OWN if key in chosen}
    entry |= {"version": version, "previous": dict(sorted(previous.items(), key=lambda item: int(item[0])))}
    entry["files"] = {name: f"sha256:{value}" for name, value in model_files(folder, version).items()}
    write_pipelines_file(repository, content)


def prune(repository: Path, models: Collection[str] | None = None) -> list[str]:
    """Deletes the versions that are not served, of some models or of all.

    Returns:
        What was deleted, as `model/version`.

    Raises:
        ExportError: if there is no such repository or model.
    """
    content = read_pipelines(repository)
    gone = []
    for model in models if models is not None else content.get("models", {}):
        entry = entry_of(content, repository, model)
        gone += [f"{model}/{version}" for version in entry.pop("previous", {})]
    if gone:
        # First the list, then the files: at every moment all files that the list names exist.
        write_pipelines_file(repository, content)
    for name in gone:
        shutil.rmtree(repository / name, ignore_errors=True)
    return gone


def entry_of(content: Mapping[str, Any], repository: Path, model: str) -> dict[str, Any]:
    """A model's entry."""
    models = content.get("models", {})
    if model not in models:
        raise ExportError(f"{repository} has no model {model!r}; there are {', '.join(models) or 'none'}.")
    entry: dict[str, Any] = models[model]
    return entry
