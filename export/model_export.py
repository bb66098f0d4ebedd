"""One model of a Triton repository: its tokenizer, graph, configs, report and `pipeline.json` entry."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export import configs, rollout, tokenizer
from export.contract import Contract
from export.engines.profiles import profiles_of
from export.errors import ExportError
from export.options import ExportOptions
from export.plan import Model
from export.produce import produce
from export.progress import Progress
from export.rehearsal.recording import Rehearsal
from export.report import ModelReport, check, peak_mib
from export.spec import ExportSpec, ModelGraph

if TYPE_CHECKING:
    from export.adapters import Bank


def model_report(name: str, graph: ModelGraph, started: float) -> ModelReport | None:
    """A model's report, after its tolerance has been checked; None where it was not compared.

    Raises:
        ParityError: if the graph does not compute what the module does.
    """
    if graph.report is None:
        return None
    check(graph.report)
    return ModelReport(
        model=name,
        parameters=graph.parameters,
        disk=graph.disk,
        seconds=time.monotonic() - started,
        peak_mib=peak_mib(),
        parity=graph.report,
        cost=graph.cost,
        kept=graph.kept,
    )


@dataclass(frozen=True)
class ModelExport:
    """One model of a repository."""

    model: Model
    out: Path
    """Its folder in the repository that is being written."""
    served: Path
    """Its folder in the repository that is replaced; need not exist."""
    entry: dict[str, Any] | None
    """Its entry in the `pipeline.json` that is replaced."""
    bank: Bank | None
    rehearsal: Rehearsal | None

    def run(self, options: ExportOptions, progress: Progress) -> tuple[ModelReport, dict[str, Any]]:
        """Writes the model's folder; returns its report and its entry for `pipeline.json`."""
        started, name, model = time.monotonic(), self.model.name, self.model
        if model.source.tokenizer is not None:
            out = self.out / "tokenizer.json"
            tokenizer.convert(model.source.tokenizer, model.source.config, model.prompt_tokens, out)
        precision, version, served = options.precisions.of(name), configs.VERSION, None
        if self.entry is not None and self.entry.get("precision", "fp32") == precision:
            # A graph that is reused for another bank must not compute in another precision.
            served = self.served / self.entry["version"]
        spec = ExportSpec(
            model=model,
            precision=precision,
            storage=options.storage,
            bank=self.bank,
            served=served,
            batches=options.batches,
            rehearsal=self.rehearsal,
        )
        graph = produce(spec, self.out / version, options.store, progress)
        expect_heads(model, graph.contract)
        report = model_report(name, graph, started)
        assert report is not None
        previous: dict[str, Any] = {}
        if options.rollout and self.entry is not None:
            version, previous = rollout.add_version(self.out, self.served, self.entry, graph.contract)
        profiles = profiles_of(model, graph.contract) if options.engines else ()
        entry = configs.finish_model(self.out, graph.contract, precision, version, profiles)
        entry |= {} if self.bank is None else {"adapters": self.bank.entry()}
        entry |= {"previous": previous} if previous else {}
        progress(name, f"done in {report.seconds:.1f} s{' (nothing changed)' if report.kept else ''}")
        return report, entry


def expect_heads(model: Model, contract: Contract) -> None:
    """The reward model must have as many heads as its pipelines have names for."""
    if model.role != "reward":
        return
    heads = contract.outputs[0].dims[0]
    for folder in model.pipelines:
        names = folder.reward_heads
        if heads != len(names):
            raise ExportError(
                f"reward: the network has {heads} heads, {folder.name}'s reward_heads names {len(names)}."
            )
