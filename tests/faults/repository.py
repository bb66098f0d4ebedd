"""The repositories that faults are tried on: reference models with small pictures, and models that only take time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.emulated import repository as emulated
from bench.emulated.costs import Cost
from local.orchestrator import ROOT

PIPELINE = "backdrop-fast"
QUICK = Cost(8.0, 1.0)
BUCKETS = [[128, 128], [96, 128], [128, 96]]
# A Triton starts faster without them, and no fault depends on them.
_JUDGES = ("reward", "segmenter")
_LEFT_OUT = ("segmenter", "image_encoder_clip", "image_encoder_uve", "image_projector", "upscaler")


def write_quick(folder: Path, cost: Cost = QUICK) -> Path:
    """Writes a repository of `PIPELINE` whose models are `model.py`: they start fast and leave the cores alone.

    `cost` is what a batch of the denoiser takes; the other models take `bench.emulated.costs.OTHERS`.
    """
    model, roles = Path(__file__).with_name("model.py"), [role for role in emulated.ROLES if role not in _JUDGES]
    emulated.write(ROOT / "triton_repo", folder, cost, PIPELINE, model=model, roles=roles)
    document: dict[str, Any] = json.loads((folder / "pipeline.json").read_text())
    document["pipelines"][PIPELINE]["buckets"] = BUCKETS
    (folder / "pipeline.json").write_text(json.dumps(document))
    return folder


def write_reference(folder: Path) -> Path:
    """Writes a repository of `PIPELINE` alone whose models are links to the reference repository's."""
    reference = ROOT / "triton_repo"
    document: dict[str, Any] = json.loads((reference / "pipeline.json").read_text())
    pipeline = document["pipelines"][PIPELINE]
    pipeline["buckets"] = BUCKETS
    pipeline["components"] = {role: model for role, model in pipeline["components"].items() if role not in _LEFT_OUT}
    models = {name: document["models"][name] for name in pipeline["components"].values()}
    document |= {"pipelines": {PIPELINE: pipeline}, "default": PIPELINE, "models": models}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pipeline.json").write_text(json.dumps(document))
    for name in models:
        (folder / name).symlink_to(reference / name)
    return folder
