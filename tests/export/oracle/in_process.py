"""A folder served in this process: the orchestrator's own parser and pipeline over the torch modules of the export.

No graph is traced and nothing listens, so a picture takes a second. What is left to the real cluster are the graphs.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from backdrop.v1 import generation_service_pb2 as pb
from export import tokenizer
from export.adapters import AdapterSelection, Bank, LoraRef, open_banks
from export.plan import RepositoryPlan, plan_repository
from export.repository import FORMAT, pipeline_entry
from export.source import open_folder
from export.torch_model import open_model
from export.walk.runners import ModuleRunner
from orchestrator.api.info import describe_server
from orchestrator.api.parse import Parser
from orchestrator.events import Picture
from orchestrator.pipeline import Pipeline
from orchestrator.repository import load
from orchestrator.repository.tokenize import PromptTokenizers
from orchestrator.scheduling import Batcher
from orchestrator.scheduling.admission import Admission, Limits
from orchestrator.stages.frames import PixelMemory
from tests.orchestrator.small import DictCache, KnownCost, capacity, server_settings

Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]


class Modules:
    """Answers model calls with the export's torch modules, in FP32 and with the folder's own weights."""

    def __init__(self, plan: RepositoryPlan, banks: Mapping[str, Bank]) -> None:
        components = {name: open_model(model, banks.get(name)).prepared for name, model in plan.models.items()}
        self.contracts = {name: component.contract for name, component in components.items()}
        self._runners = {name: ModuleRunner(component) for name, component in components.items()}

    async def __call__(
        self, model: str, inputs: Mapping[str, Array], *, request_id: str, again: bool = False, priority: int = 0
    ) -> dict[str, Array]:
        return dict(self._runners[model](inputs))


class InProcess:
    """One folder behind the orchestrator's parser and pipeline; `out` gets its pipeline.json and tokenizers."""

    def __init__(self, folder: Path, out: Path, loras: Mapping[str, Path] | None = None) -> None:
        plan = plan_repository([open_folder(folder)])
        refs = tuple(LoraRef(name, path) for name, path in (loras or {}).items())
        banks = open_banks(plan, AdapterSelection(refs)) if refs else {}
        self._models = Modules(plan, banks)
        (opened,) = plan.pipelines
        entries = {}
        for name, contract in self._models.contracts.items():
            tensors = {
                kind: [{"name": t.name, "dtype": t.dtype, "shape": list(t.dims)} for t in getattr(contract, kind)]
                for kind in ("inputs", "outputs")
            }
            entries[name] = {"version": "1", "fingerprint": f"sha256:{name}", "files": {}, **tensors}
            entries[name] |= {"adapters": banks[name].entry()} if name in banks else {}
            source = plan.models[name].source
            if source.tokenizer is not None:
                length = opened.text["t5_max_tokens" if name == "text_encoder_t5" else "max_tokens"]
                (out / name).mkdir(parents=True)
                tokenizer.convert(source.tokenizer, source.config, length, out / name / "tokenizer.json")
        content = {"format": FORMAT, "default": opened.name, "models": entries}
        content["pipelines"] = {opened.name: pipeline_entry(plan, opened)}
        (out / "pipeline.json").write_text(json.dumps(content))
        repository = load(out)
        prompts = PromptTokenizers(repository)
        self.spec = repository.pipelines[opened.name]
        self._parser = Parser(describe_server(server_settings(out), repository), repository, prompts)
        batcher = Batcher(self._models, lambda model: capacity(1, 8), new_cost=KnownCost)
        self._pipeline = Pipeline(
            *(batcher, DictCache(), prompts, Admission(Limits(2, 2)), PixelMemory(16.0)), max_buffered_events=1000
        )

    async def picture(self, message: pb.GenerateRequest) -> Bytes:
        """The best picture [H, W, 3] of a request."""
        request = self._parser.parse(message, "0" * 32)
        events = [event async for event in self._pipeline.run(request)]
        data = next(event.data for event in events if isinstance(event, Picture))
        return np.asarray(Image.open(io.BytesIO(data)))
