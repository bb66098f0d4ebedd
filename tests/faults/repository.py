"""The repository that faults are tried on: one fast pipeline of the reference models, with small pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from local.orchestrator import ROOT

PIPELINE = "backdrop-fast"
BUCKETS = [[128, 128], [96, 128], [128, 96]]
# A Triton starts faster without them, and no fault depends on them.
_LEFT_OUT = ("segmenter", "image_encoder_clip", "image_encoder_uve", "image_projector", "upscaler")


def write(folder: Path) -> Path:
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
