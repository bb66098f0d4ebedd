"""Measures the marks of the export on one machine and writes them to docs/figures/export.json.

usage: python -m bench.export_marks [NAME …]        (default: every check but `sdxl`, which needs `make sdxl-full`)
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from rich.console import Console
from safetensors.torch import save_file

from bench import adapter_cost, checks, sdxl_full
from bench.figures import ROOT, Figure, at_least, at_most
from export.__main__ import main as export
from export.engines import seam
from export.engines.builds import build_once, models_of
from export.engines.identity import Identity
from export.engines.seam import BuildOptions
from export.errors import ExportError
from export.options import ExportOptions
from export.precision import Precision, Precisions
from export.rehearsal.recording import RehearsalConfig
from export.report import LEAST_PSNR, TOLERANCE, ModelReport
from export.run import export_graphs, export_pipelines
from tests.export import families, tiny
from tests.export.test_source import DIT_SPOILT, SPOILT

AREA = "export"
WORK = ROOT / ".backdrop" / "export"
MEASURED: tuple[Precision, ...] = ("fp32", "fp16")
REHEARSED: tuple[Precision, ...] = (*MEASURED, "fp8")
ADAPTER = "adapter.safetensors"
console = Console(stderr=True)


def command(name: str) -> str:
    """What measures the mark again."""
    return f"python -m bench.export_marks {name}"


def progress(name: str, what: str) -> None:
    """A line a step."""
    console.print(f"{name}: {what}", highlight=False)


def reference_folders() -> list[Path]:
    """The folders of the reference pipelines."""
    return sorted(path.parent for path in (ROOT / "training" / "weights").glob("backdrop*/model_index.json"))


def worst(reports: Sequence[ModelReport]) -> tuple[float, str]:
    """The largest difference from torch, and the model that has it."""
    largest = max(reports, key=lambda report: report.parity.worst.relative)
    return largest.parity.worst.relative, f"{largest.model}; {len(reports)} components"


def reference() -> list[Figure]:
    """Every component of the reference pipelines, on random and on real inputs, and their pictures."""
    figures = []
    for precision in REHEARSED:
        options = ExportOptions(Precisions(precision), WORK, rehearsal=RehearsalConfig())
        report = export_graphs(reference_folders(), progress, options)
        value, spread = worst(report.models)
        name = f"reference pipelines: largest difference from torch, {precision}, relative"
        figures.append(Figure(name, value, at_most(TOLERANCE[precision]), command("reference"), spread))
        picture = min(report.pictures, key=lambda one: one.psnr)
        spread = f"{picture.pipeline}, the worst of {len(report.pictures)}; {picture.steps} steps, "
        spread += f"largest difference {picture.largest} of 255"
        name = f"reference pipelines: pictures beside torch's, {precision}, dB"
        least = round(picture.psnr, 1)
        figures.append(Figure(name, least, at_least(LEAST_PSNR[precision]), command("reference"), spread))
    return figures


def engines() -> list[Figure]:
    """Every component of the reference pipelines as an engine of TensorRT for RTX, which needs no GPU to build."""
    builder = seam.find("tensorrt_rtx")
    where = seam.local_target(builder, BuildOptions())
    figures = []
    for precision in REHEARSED:
        repository = WORK / f"repository-{precision}"
        options = ExportOptions(Precisions(precision), WORK, engines=True, rehearsal=RehearsalConfig())
        export_pipelines(reference_folders(), repository, progress, options=options)
        failed, seconds = [], 0.0
        for name, entry in models_of(repository).items():
            identity = Identity.of(name, entry, where)
            graph = repository / name / entry["version"] / "model.onnx"
            try:
                seconds += build_once(
                    graph, entry["profiles"], WORK / "engines", identity, builder, BuildOptions(), progress
                )
            except ExportError as error:
                console.print(str(error))
                failed.append(name)
        spread = f"{len(models_of(repository))} built in {seconds:.0f} s" if not failed else ", ".join(failed)
        name = f"reference pipelines: components that tensorrt_rtx does not build, {precision}"
        figures.append(Figure(name, len(failed), at_most(0), command("engines"), spread))
    return figures


def other_families() -> list[Figure]:
    """Stable Diffusion 1.5 for inpainting and Stable Diffusion 3, at reduced width."""
    makers = {"Stable Diffusion 1.5 inpainting": families.write_sd15, "Stable Diffusion 3": families.write_sd3}
    figures = []
    with tempfile.TemporaryDirectory() as base:
        for number, (name, write) in enumerate(makers.items()):
            folder = Path(base) / f"family{number}"
            write(folder)
            options = ExportOptions(rehearsal=RehearsalConfig(steps=3))
            report = export_pipelines([folder], Path(base) / f"out{number}", progress, options=options)
            value, spread = worst(report.models)
            label = f"{name}, reduced width: largest difference from torch, fp32, relative"
            figures.append(Figure(label, value, at_most(TOLERANCE["fp32"]), command("families"), spread))
    return figures


def adapters() -> list[Figure]:
    """Rows that name adapters, against fused weights; and what the bank costs."""
    unet = next(folder for folder in reference_folders() if folder.name == "backdrop")
    cost = adapter_cost.measure(unet, progress)
    return [
        Figure(
            "4 rows with 4 adapters against 4 runs with fused weights, relative",
            value=cost.difference,
            mark=at_most(1e-4),
            command=command("adapters"),
            spread="reference UNet, all linear layers, rank 8, onnxruntime against torch",
        ),
        Figure("bank of 4 adapters of rank 8, % of a row", cost.percent, at_most(15), command("adapters"), cost.spread),
    ]


def bad_folders() -> list[Figure]:
    """Every kind of bad folder and bad LoRA that the tests know, by the command line."""
    slowest, wrong, cases = 0.0, [], 0
    with tempfile.TemporaryDirectory() as base:
        pipelines = Path(base) / "pipelines"
        tiny.write_pipelines(pipelines)
        for name, spoil, message in spoilt():
            copy, out = Path(base) / f"case{cases}", Path(base) / "out"
            shutil.copytree(pipelines, copy)
            spoil(copy / name)
            adapter = copy / name / ADAPTER
            arguments = ["all", "--pipeline", str(copy / name), "--out", str(out), "--work", f"{base}/work"]
            arguments += ["--adapter", f"spoilt={adapter}"] if adapter.exists() else []
            said, begin = io.StringIO(), time.monotonic()
            with contextlib.redirect_stderr(said):
                status = export(arguments)
            slowest, cases = max(slowest, time.monotonic() - begin), cases + 1
            clear = re.search(message, said.getvalue().replace("\n", " ")) is not None
            if status != 1 or not clear or out.exists() or list(Path(base).glob(".out*")):
                wrong.append(message)
            shutil.rmtree(copy)
    what = f"{cases} folders and LoRA files" if not wrong else ", ".join(wrong)
    return [
        Figure("bad folders that were taken, or left something behind", len(wrong), at_most(0), command("bad"), what),
        Figure("bad folders: seconds until the slowest was refused", round(slowest, 2), at_most(5), command("bad")),
    ]


def spoilt() -> Iterator[tuple[str, Callable[[Path], object], str]]:
    """The folder's name, the function that spoils it, and a pattern of the message."""
    for name, cases in (("tiny", SPOILT), ("tiny-dit", DIT_SPOILT)):
        for spoil, message in cases:
            yield name, spoil, message
    layer = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    down, up = torch.zeros(4, 32), torch.zeros(32, 4)
    good = {f"{layer}.lora_A.weight": down, f"{layer}.lora_B.weight": up}
    for change, message in (
        ({f"{layer}.weight": down}, "has a key that no LoRA format knows"),
        ({"unet.conv_mid.lora_A.weight": down}, "a layer that this denoiser does not have"),
        ({f"{layer}.lora_A.weight": torch.zeros(4, 33)}, "do not fit"),
        ({f"{layer}.dora_scale": up}, "is a DoRA"),
    ):
        yield "tiny", functools.partial(write_lora, tensors=good | change), message
    yield "tiny", lambda folder: (folder / ADAPTER).write_bytes(b"\x80\x04."), "is not a safetensors file"


def write_lora(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Puts a LoRA into a pipeline's folder, where `bad_folders` finds it."""
    save_file({name: value.clone() for name, value in tensors.items()}, folder / ADAPTER)


def sdxl() -> list[Figure]:
    """The report of `make sdxl-full`."""
    if not sdxl_full.REPORT.is_file():
        raise SystemExit(f"{sdxl_full.REPORT} is not there: run make sdxl-full first.")
    report = json.loads(sdxl_full.REPORT.read_text())
    components, (picture,) = report["components"], report["pictures"]
    largest = max(components, key=lambda component: component["parity"]["worst"]["relative"])
    peak = max(max(component["peak_mib"], component["made"]["peak_mib"]) for component in components) / 1024
    weights = sum(component["parameters"] for component in components) / 1e9
    making = sum(component["made"]["seconds"] for component in components)
    comparing = sum(component["seconds"] for component in components)
    seconds = f"graphs made in {making:.0f} s, compared in {comparing:.0f} s; {weights:.2f} B weights"
    measured_by = "make sdxl-full && python -m bench.export_marks sdxl"
    return [
        Figure(
            "SDXL inpainting with IP-Adapter, full size: largest difference from torch, fp32, relative",
            value=largest["parity"]["worst"]["relative"],
            mark=at_most(TOLERANCE["fp32"]),
            command=measured_by,
            spread=largest["model"],
        ),
        Figure("the same: peak memory, GiB", round(peak, 1), at_most(24), measured_by, seconds),
        Figure(
            "the same: pictures beside torch's, fp32, dB",
            value=round(picture["psnr"], 1),
            mark=at_least(LEAST_PSNR["fp32"]),
            command=measured_by,
            spread=f"{picture['steps']} steps of 512 × 512, largest difference {picture['largest']} of 255",
        ),
    ]


CHECKS: dict[str, checks.Check] = {
    "reference": reference,
    "engines": engines,
    "families": other_families,
    "adapters": adapters,
    "bad": bad_folders,
    "sdxl": sdxl,
}


def main() -> int:
    """Measures the named marks; the exit status is 1 when one is missed."""
    default = [name for name in CHECKS if name != "sdxl"]
    names = checks.parse_names("python -m bench.export_marks", __doc__, [*CHECKS], default)
    return checks.run(AREA, names, CHECKS)


if __name__ == "__main__":
    sys.exit(main())
