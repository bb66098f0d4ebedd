"""A model's configs, as Triton reads them, and its entry in `pipeline.json`: both from one contract."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.contract import Contract, TensorSpec
from export.files import CONFIG, CONFIGS, fingerprint, model_files

VERSION = "1"
"""The folder of a model's first version."""
TENSORRT, ENGINE_FILE = "tensorrt.pbtxt", "model.plan"
Profiles = Sequence[Mapping[str, Any]]
"""Shapes that an engine is built for; see `engines/profiles.py`."""


def _tensors(kind: str, specs: Iterable[TensorSpec]) -> str:
    entries = [
        f'  {{ name: "{spec.name}" data_type: TYPE_{spec.dtype} dims: [ {", ".join(map(str, spec.dims))} ] }}'
        for spec in specs
    ]
    return f"{kind} [\n" + ",\n".join(entries) + "\n]\n"


@dataclass(frozen=True)
class Runtime:
    """The backend that serves a model: the part of a config that differs from node to node."""

    head: str
    """The backend, and the file it reads."""
    instances: str


def onnxruntime_runtime(instances: int) -> Runtime:
    """The graph itself, on a CPU."""
    head = 'backend: "onnxruntime"\ndefault_model_filename: "model.onnx"'
    return Runtime(head, f"{{ kind: KIND_CPU count: {instances} }}")


def config_text(
    name: str, contract: Contract, mark: str, version: str = VERSION, runtime: Runtime | None = None
) -> str:
    """A model's config.pbtxt. Everything is spelt out, so Triton is started without completing configs by itself."""
    runtime = runtime or onnxruntime_runtime(contract.instances)
    parameters = {**contract.parameters, "fingerprint": mark}
    entries = "".join(
        f'parameters {{ key: "{key}" value: {{ string_value: "{parameters[key]}" }} }}\n' for key in sorted(parameters)
    )
    # The policy alone says which of several versions is served; a first version is the only one.
    policy = "" if version == VERSION else f"version_policy: {{ specific {{ versions: [ {version} ] }} }}\n"
    return f"""\
name: "{name}"
{runtime.head}
{policy}max_batch_size: {contract.max_batch_size}
{_tensors("input", contract.inputs)}{_tensors("output", contract.outputs)}\
# Waiting for company costs every step of every request; rows that arrive while a batch runs meet in the next one.
dynamic_batching {{
  max_queue_delay_microseconds: 0
  priority_levels: 3  # interactive, standard, bulk: between what several orchestrators have in this queue
  default_priority_level: 2
  default_queue_policy {{
    timeout_action: REJECT
    max_queue_size: {contract.max_queue_size}
  }}
}}
instance_group [ {runtime.instances} ]
{entries}"""


def finish_model(
    folder: Path, contract: Contract, precision: str = "fp32", version: str = VERSION, profiles: Profiles = ()
) -> dict[str, Any]:
    """Writes a model's configs beside its files and returns its entry for `pipeline.json`.

    Args:
        folder: The model's, with its version folder in it.
        contract: Its tensors and limits.
        precision: Of its graph.
        version: Which of the version folders is served.
        profiles: The shapes that engines are built for; none where no engines will be built.
    """
    (folder / CONFIG).unlink(missing_ok=True)
    mark = fingerprint(model_files(folder, version))
    (folder / CONFIG).write_text(config_text(folder.name, contract, mark, version), encoding="utf-8")
    shutil.rmtree(folder / CONFIGS, ignore_errors=True)
    if profiles:
        (folder / CONFIGS).mkdir()
        text = config_text(folder.name, contract, mark, version, tensorrt_runtime(len(profiles)))
        (folder / CONFIGS / TENSORRT).write_text(text, encoding="utf-8")

    def tensors(specs: Iterable[TensorSpec]) -> list[dict[str, Any]]:
        return [{"name": spec.name, "dtype": spec.dtype, "shape": list(spec.dims)} for spec in specs]

    return {
        "version": version,
        "fingerprint": mark,
        "precision": precision,
        "files": {name: f"sha256:{value}" for name, value in model_files(folder, version).items()},
        "inputs": tensors(contract.inputs),
        "outputs": tensors(contract.outputs),
        **({"profiles": list(profiles)} if profiles else {}),
    }


def tensorrt_runtime(profiles: int) -> Runtime:
    """An engine instead of the graph. Every profile has a context of its own, and Triton takes the nearest."""
    numbers = ", ".join(f'"{number}"' for number in range(profiles))
    return Runtime(
        f'platform: "tensorrt_plan"\ndefault_model_filename: "{ENGINE_FILE}"',
        f"{{ kind: KIND_GPU count: 1 profile: [ {numbers} ] }}",
    )
