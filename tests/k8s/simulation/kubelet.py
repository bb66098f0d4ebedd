"""What each of our containers waits for, and what it leaves behind, read from its command line."""

from __future__ import annotations

import itertools
from collections.abc import Collection

from tests.k8s.rendering import Manifest
from tests.k8s.simulation.world import Node, World


def _values(arguments: list[str], option: str) -> list[str]:
    """Values of `--option=value` and `--option value`."""
    joined = [a.partition("=")[2] for a in arguments if a.startswith(f"{option}=")]
    return joined + [value for name, value in itertools.pairwise(arguments) if name == option]


def _module(container: Manifest) -> tuple[str, list[str]]:
    """The Python module of a container and its arguments; any other program under its last name."""
    command = [*container.get("command", []), *container.get("args", [])]
    if "-m" in command:
        place = command.index("-m")
        return command[place + 1], command[place + 2 :]
    # Triton's program stands behind the entry point of its image.
    names = [word.rpartition("/")[2] for word in command]
    return next((name for name in names if name in ("tritonserver", "valkey-server")), names[0]), command


def models_of(container: Manifest, models: frozenset[str]) -> frozenset[str]:
    """The models that a Triton loads, or that engines are made for: those it names, else all."""
    _, arguments = _module(container)
    named = _values(arguments, "--load-model") + _values(arguments, "--model")
    return frozenset(named) or models


def served(spec: Manifest, models: frozenset[str]) -> frozenset[str]:
    """The models of a Triton's pod."""
    return models_of(spec["containers"][0], models)


def run(container: Manifest, node: Node, world: World, tensorrt: str, live: Collection[str]) -> str:
    """Runs a container as far as it comes; returns what it waits for, in words, or nothing if it is through.

    Args:
        live: models that ready Tritons serve now.
    """
    module, arguments = _module(container)
    if module == "orchestrator.repository.store":
        return _store(arguments, world)
    if module == "export.engines":
        return _engines(container, arguments, node, world, tensorrt)
    if module == "orchestrator":
        return "" if world.models <= set(live) else f"models {sorted(world.models - set(live))[:3]}"
    if module == "valkey-server":
        return "" if "redis-auth" in world.secrets else "Secret redis-auth"
    return ""


def _store(arguments: list[str], world: World) -> str:
    if arguments[0] == "publish":
        world.repositories |= set(_values(arguments, "--to"))
        return ""
    missing = set(_values(arguments, "--at")) - world.repositories
    return f"repository {missing}" if missing else ""


def _engines(container: Manifest, arguments: list[str], node: Node, world: World, tensorrt: str) -> str:
    repositories = set(_values(arguments, "--repository"))
    if not repositories <= world.repositories:
        return f"repository {repositories - world.repositories}"
    needed = {(node.gpu, tensorrt, model) for model in models_of(container, world.models)}
    # Both build under a lock; `serve` alone only looks, and is restarted while its pod keeps the GPU.
    if arguments[0] == "build" or "--build-missing" in arguments:
        world.engines |= needed
    missing = needed - world.engines
    return f"engines {sorted(missing)[:2]}" if missing else ""
