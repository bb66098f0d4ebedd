"""The commands of the installation, in their order: none needs what only a later one makes."""

from __future__ import annotations

import itertools
import re
import shlex

import yaml

from tests.k8s.rendering import ROOT


def install_commands() -> list[list[str]]:
    """Every kubectl command in the section Install of docs/operations.md."""
    section = (ROOT / "docs" / "operations.md").read_text().partition("## Install")[2].partition("\n## ")[0]
    return [shlex.split(line) for line in re.findall(r"(?:^ *|`)(kubectl [^`\n]+)", section, re.M)]


def too_early(commands: list[list[str]]) -> list[str]:
    """Commands in a namespace that no command before them has made."""
    there, early = {"default", "kube-system"}, []
    for command in commands:
        options = dict(itertools.pairwise(command))
        namespace = options.get("-n", "default")
        if namespace not in there:
            early.append(" ".join(command))
        if "apply" in command and "-f" in options:
            manifests = yaml.safe_load_all((ROOT / options["-f"]).read_text())
            there |= {m["metadata"]["name"] for m in manifests if m["kind"] == "Namespace"}
        if "-k" in options:
            there.add("backdrop")
    return early


def test_each_step_finds_its_namespace() -> None:
    commands = install_commands()
    assert ["kubectl", "apply", "-k", "k8s/overlays/production"] in commands
    assert any("secret" in command for command in commands)
    assert too_early(commands) == []


def test_a_secret_before_its_namespace_is_seen() -> None:
    commands = [command for command in install_commands() if "-f" not in command]
    (line,) = too_early(commands)
    assert "create secret" in line
