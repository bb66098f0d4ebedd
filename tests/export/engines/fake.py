"""A module with TensorRT's names that records what it is asked for; it cannot show that an engine works."""

from __future__ import annotations

import json
import types
from pathlib import Path
from typing import Any


class Logger:
    ERROR = 2

    def __init__(self, level: int) -> None:
        self.level = level


class Network:
    def __init__(self, flags: int) -> None:
        self.flags = flags
        self.inputs: list[str] = []

    @property
    def num_inputs(self) -> int:
        return len(self.inputs)

    def get_input(self, index: int) -> Any:
        return types.SimpleNamespace(name=self.inputs[index])


class Parser:
    """Reads graphs that are JSON: the names of their inputs."""

    num_errors = 1

    def __init__(self, network: Network, logger: Logger) -> None:
        self.network = network

    def parse_from_file(self, path: str) -> bool:
        try:
            self.network.inputs = json.loads(Path(path).read_text())
        except ValueError:
            return False
        return True

    def get_error(self, index: int) -> str:
        return "In node 3: no such operator\nat somewhere"


class Profile:
    def __init__(self) -> None:
        self.shapes: dict[str, Any] = {}

    def set_shape(self, name: str, *shapes: list[int]) -> None:
        self.shapes[name] = shapes


class Cache:
    def __init__(self, content: bytes) -> None:
        self.content = content

    def serialize(self) -> bytes:
        return self.content + b"+"


class Config:
    def __init__(self) -> None:
        self.flags: list[str] = []
        self.profiles: list[Profile] = []
        self.hardware_compatibility_level: str | None = None
        self.cache: Cache | None = None

    def set_flag(self, flag: str) -> None:
        self.flags.append(flag)

    def add_optimization_profile(self, profile: Profile) -> None:
        self.profiles.append(profile)

    def create_timing_cache(self, content: bytes) -> Cache:
        return Cache(content)

    def set_timing_cache(self, cache: Cache, ignore_mismatch: bool) -> bool:
        if cache.content.startswith(b"foreign"):
            return False
        self.cache = cache
        return True


class Tensorrt(types.ModuleType):
    """The module; `configs` and `networks` are what builders were given."""

    def __init__(self, name: str = "tensorrt", version: str = "10.13.3") -> None:
        super().__init__(name)
        self.__version__ = version
        self.configs: list[Config] = []
        self.networks: list[Network] = []
        self.plan: bytes | None = b"plan"
        self.Logger, self.OnnxParser = Logger, Parser
        self.NetworkDefinitionCreationFlag = types.SimpleNamespace(STRONGLY_TYPED=1)
        self.BuilderFlag = types.SimpleNamespace(VERSION_COMPATIBLE="version compatible")
        self.HardwareCompatibilityLevel = types.SimpleNamespace(
            AMPERE_PLUS="ampere plus", SAME_COMPUTE_CAPABILITY="same compute capability"
        )
        fake = self

        class Builder:
            def __init__(self, logger: Logger) -> None:
                pass

            def create_network(self, flags: int) -> Network:
                fake.networks.append(Network(flags))
                return fake.networks[-1]

            def create_builder_config(self) -> Config:
                fake.configs.append(Config())
                return fake.configs[-1]

            def create_optimization_profile(self) -> Profile:
                return Profile()

            def build_serialized_network(self, network: Network, config: Config) -> bytes | None:
                return fake.plan

        self.Builder = Builder
