"""The one place that knows TensorRT: `tensorrt` and `tensorrt_rtx` have the same builder and parser under two names."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from export.engines.gpu import local_gpu
from export.engines.identity import EngineTarget
from export.errors import ExportError
from export.files import partial

BUILDERS = ("tensorrt", "tensorrt_rtx")
"""In the order in which they are looked for."""
Compatibility = Literal["none", "ampere_plus", "same_compute_capability"]


@dataclass(frozen=True)
class BuildOptions:
    """Properties of an engine that cost speed."""

    version_compatible: bool = False
    """Whether later versions of TensorRT may load it too (same major version)."""
    hardware: Compatibility = "none"
    """Which other GPUs may load it."""
    timing_cache: Path | None = None
    """A file in which measured kernels are kept from build to build; made if it is not there.

    For `build_all` it is the stem of such files: each kind of GPU and version has its own, since TensorRT starts a new
    one where the GPU is another.
    """

    def on(self, target: EngineTarget) -> BuildOptions:
        """The same options with the timing cache of this target."""
        if self.timing_cache is None:
            return self
        kind = f"{target.builder}-{target.version}-{target.gpu}-r{target.driver}"
        return replace(self, timing_cache=self.timing_cache.with_name(f"{self.timing_cache.name}.{kind}"))


class Tensorrt:
    """One of the two modules."""

    def __init__(self, module: Any) -> None:
        """`module` is the imported one."""
        self._trt = module
        self._logger = module.Logger(module.Logger.ERROR)
        self.name: str = module.__name__
        self.version: str = module.__version__

    @property
    def is_rtx(self) -> bool:
        """Whether its engines are compiled for the GPU where they run, and built without one."""
        return self.name == "tensorrt_rtx"

    def build(self, graph: Path, profiles: Sequence[Mapping[str, Any]], options: BuildOptions) -> bytes:
        """Builds an engine.

        Args:
            graph: A model.onnx, with the files it refers to beside it. Networks are
                strongly typed: the engine's precision is the graph's.
            profiles: As `profiles.py` makes them.
            options: Compatibility, and the timing cache.

        Raises:
            ExportError: if the graph cannot be parsed, or no engine can be built of it.
        """
        trt = self._trt
        builder = trt.Builder(self._logger)
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, self._logger)
        if not parser.parse_from_file(str(graph)):
            reason = str(parser.get_error(0)) if parser.num_errors else "no reason given"
            raise ExportError(f"{graph}: {self.name} cannot parse it: {reason.splitlines()[0]}")
        config = builder.create_builder_config()
        self._compatible(config, options)
        for ranges in profiles:
            config.add_optimization_profile(self._profile(builder, network, ranges))
        cache = self._timing_cache(config, options.timing_cache)
        engine = builder.build_serialized_network(network, config)
        if engine is None:
            raise ExportError(f"{graph}: {self.name} {self.version} built no engine of it.")
        if cache is not None and options.timing_cache is not None:
            options.timing_cache.parent.mkdir(parents=True, exist_ok=True)
            # Pods that build at once would mix their bytes; of two whole files either will do.
            making = partial(options.timing_cache)
            making.write_bytes(bytes(cache.serialize()))
            making.replace(options.timing_cache)
        return bytes(engine)

    def _compatible(self, config: Any, options: BuildOptions) -> None:
        trt = self._trt
        if options.version_compatible:
            config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
        if options.hardware != "none":
            config.hardware_compatibility_level = getattr(trt.HardwareCompatibilityLevel, options.hardware.upper())

    def _profile(self, builder: Any, network: Any, ranges: Mapping[str, Any]) -> Any:
        profile = builder.create_optimization_profile()
        for index in range(network.num_inputs):
            tensor = network.get_input(index)
            if tensor.name not in ranges:
                raise ExportError(f"The graph has the input {tensor.name}, for which the repository has no shapes.")
            shapes = ranges[tensor.name]
            profile.set_shape(tensor.name, shapes["min"], shapes["opt"], shapes["max"])
        return profile

    def _timing_cache(self, config: Any, path: Path | None) -> Any:
        # An RTX engine is compiled where it runs, so no kernel is timed here.
        if path is None or self.is_rtx:
            return None
        cache = config.create_timing_cache(path.read_bytes() if path.is_file() else b"")
        # TensorRT rejects a cache of another GPU; then a new one is started.
        if not config.set_timing_cache(cache, ignore_mismatch=False):
            cache = config.create_timing_cache(b"")
            config.set_timing_cache(cache, ignore_mismatch=False)
        return cache


def find(name: str | None = None) -> Tensorrt:
    """The module of this name, or the first that is installed.

    Raises:
        ExportError: if there is none.
    """
    for candidate in BUILDERS if name is None else (name,):
        try:
            return Tensorrt(importlib.import_module(candidate))
        except ImportError:
            continue
    raise ExportError(
        f"{name or 'Neither tensorrt nor tensorrt_rtx'} is {'not ' if name else ''}installed here; "
        f"tensorrt comes with Triton's images, tensorrt_rtx with pip install 'tensorrt-rtx-cu13==1.7.1.116'."
    )


def local_target(builder: Tensorrt, options: BuildOptions) -> EngineTarget:
    """The builder, version and GPU of engines that are built on this node.

    Raises:
        ExportError: if it needs a GPU, and there is none.
    """
    if builder.is_rtx:
        return EngineTarget(builder.name, builder.version, "any")
    version = builder.version
    if options.version_compatible:
        version = f"{version.partition('.')[0]}.x"
    gpu = local_gpu()
    if options.hardware == "none":
        return EngineTarget(builder.name, version, gpu.compute_capability, gpu.model, gpu.driver)
    # Such engines are chosen to run on other GPUs, so these share them.
    return EngineTarget(builder.name, version, "8.0+" if options.hardware == "ampere_plus" else gpu.compute_capability)
