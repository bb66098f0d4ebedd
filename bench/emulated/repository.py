"""A model repository whose models are all emulated: the real one's tensors and schedules, the engine's sleep."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.arms.monolith import write_model
from bench.emulated.costs import OTHERS, Cost
from export.files import CONFIG, fingerprint, model_files

MODEL = Path(__file__).with_name("model.py")
ROLES = ("text_encoder_l", "text_encoder_g", "vae_encoder", "denoiser", "vae_decoder", "reward", "segmenter")
_SOURCES = {"denoiser": "sample", "vae_decoder": "image", "text_encoder_l": "input_ids", "text_encoder_g": "input_ids"}
_OPTIONAL = ("image_tokens", "image_scale", "adapter", "adapter_scale")
_CONFIG = """\
name: "{name}"
backend: "python"
max_batch_size: 16
{inputs}{outputs}dynamic_batching {{
  max_queue_delay_microseconds: 0
  priority_levels: 3
  default_priority_level: 2
  default_queue_policy {{ timeout_action: REJECT max_queue_size: 512 }}
}}
instance_group [ {{ kind: KIND_CPU count: {instances} }} ]
"""


def write(
    real: Path,
    folder: Path,
    denoiser: Cost,
    pipeline: str = "backdrop",
    *,
    model: Path = MODEL,
    roles: Sequence[str] = ROLES,
) -> Path:
    """Writes the repository of one pipeline, without style pictures, and returns its folder.

    Args:
        real: the repository whose pipeline is emulated.
        folder: where to write; must be empty or not there.
        denoiser: what a batch of the denoiser costs; the other models cost `costs.OTHERS`.
        pipeline: its name in `real`.
        model: the program of every model; it has the parameters of `MODEL`.
        roles: the roles that are served, if the pipeline has them.
    """
    document = json.loads((real / "pipeline.json").read_text())
    spec = document["pipelines"][pipeline]
    factor = int(spec["latents"]["factor"])
    spec["components"] = {role: name for role, name in spec["components"].items() if role in roles}
    spec.pop("task_adapters", None)  # an emulated denoiser has no bank
    models = {}
    for role, name in spec["components"].items():
        entry = document["models"][name]
        entry["inputs"] = [tensor for tensor in entry["inputs"] if tensor["name"] not in _OPTIONAL]
        cost = denoiser if role == "denoiser" else OTHERS
        models[name] = _model(folder / name, entry, cost, shrinks(role, factor), source(role), model)
        if (real / name / "tokenizer.json").is_file():
            shutil.copy2(real / name / "tokenizer.json", folder / name)
    document |= {"default": pipeline, "pipelines": {pipeline: spec}, "models": models}
    (folder / "pipeline.json").write_text(json.dumps(document, indent=1))
    return folder


def source(role: str) -> str:
    """The input whose rows are counted, and whose sides an output takes on."""
    return _SOURCES.get(role, "image")


def shrinks(role: str, factor: int) -> int:
    """The factor by which the sides of an output are smaller than those of the source."""
    return factor if role == "vae_encoder" else 1


def _model(folder: Path, entry: dict[str, Any], cost: Cost, shrink: int, source: str, program: Path) -> dict[str, Any]:
    tensors = {kind: _tensors(kind, entry[f"{kind}s"]) for kind in ("input", "output")}
    # Only the denoiser is sent a batch while another runs.
    instances = 2 if source == _SOURCES["denoiser"] else 1
    config = _CONFIG.format(name=folder.name, inputs=tensors["input"], outputs=tensors["output"], instances=instances)
    parameters = {
        "base_ms": str(cost.base_ms), "row_ms": str(cost.row_ms), "shrink": str(shrink), "source": source,
    }  # fmt: skip
    write_model(folder, config, program, parameters)
    # A model is identified by its files, also in caches; without this file all models would be the same.
    (folder / "1" / "emulates.txt").write_text(f"{folder.name} {json.dumps(parameters)}\n")
    digest = fingerprint(model_files(folder, "1"))
    with (folder / CONFIG).open("a") as file:
        file.write(f'parameters {{ key: "fingerprint" value: {{ string_value: "{digest}" }} }}\n')
    files = {
        path.relative_to(folder).as_posix(): f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    kept = {"inputs": entry["inputs"], "outputs": entry["outputs"]}
    return {"version": "1", "fingerprint": digest, "files": files, **kept}


def _tensors(kind: str, specs: list[dict[str, Any]]) -> str:
    lines = [
        f'  {{ name: "{spec["name"]}" data_type: TYPE_{spec["dtype"]} dims: {json.dumps(spec["shape"])} }}'
        for spec in specs
    ]
    return f"{kind} [\n" + ",\n".join(lines) + "\n]\n"
