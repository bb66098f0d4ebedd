"""The command line of `python -m export`: its steps and their options."""

from __future__ import annotations

import argparse
from pathlib import Path

from export import signing
from export.engines.__main__ import add_build_options
from export.engines.seam import BUILDERS
from export.precision import PRECISIONS, STORAGES
from export.rehearsal.recording import RehearsalConfig
from export.schedule.classes import CLASS_OF
from export.store import DEFAULT

DESCRIPTION = """\
Exports diffusers-layout pipelines to ONNX, compares every component with torch, and writes a Triton model repository,
which appears as a whole or not at all. Only safetensors weights are read. Each step does what it needs of the steps
before it; what has not changed since the last time is taken from the work folder."""
STEPS = {
    "inspect": "say what a folder holds, what becomes of it, and what is wrong with it; in seconds",
    "onnx": "make the graphs, in the work folder",
    "verify": "and compare each with torch; one outside its tolerance fails",
    "repository": "and write the Triton repository",
    "engine": "build TensorRT engines of a repository, here and for this GPU",
    "all": "everything: the repository and, with --target tensorrt, its engines",
    "convert": "make a diffusers folder of a checkpoint in one safetensors file",
    "upscaler": "give a repository's pipelines the upscaler of a published safetensors file",
    "prune": "delete the versions of a repository that are not served",
    "switch": "serve another version of a model that is still there",
    "try": "start a local cluster on a repository, make one picture, and stop the cluster",
    "key": "make a key pair of minisign, to sign repositories with",
    "sign": "check every file of a repository, and sign its list of digests",
}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m export", description=DESCRIPTION)
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    for name, what in STEPS.items():
        step = steps.add_parser(name, help=what, description=f"{name}: {what}.")
        if name in APART:
            APART[name](step)
            continue
        add_pipelines(step, required=name != "engine")
        add_making(step)
        if name in ("inspect", "repository", "engine", "all"):
            add_adapters(step)
        if name in ("repository", "engine", "all"):
            step.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the Triton repository")
            add_repository(step)
        if name in ("engine", "all"):
            add_engines(step)
    return parser.parse_args(arguments)


def add_pipelines(step: argparse.ArgumentParser, *, required: bool) -> None:
    """What is exported."""
    later = "" if required else "; none, to take the repository as it is"
    step.add_argument(
        "--pipeline",
        type=Path,
        required=required,
        action="append",
        default=None if required else [],
        dest="pipelines",
        metavar="FOLDER",
        help=f"a diffusers folder to read; may be given several times{later}. A pipeline is called what its folder is; "
        f"components that folders share are exported once",
    )
    step.add_argument("--components", metavar="A,B", help="only these; a repository must have the others already")
    for role, without in (
        ("reward", "pictures come unscored"),
        ("segmenter", "a product needs a mask"),
        ("upscaler", "scenes are enlarged by resampling"),
    ):
        step.add_argument(
            f"--{role}",
            type=Path,
            metavar="FOLDER",
            help=f"take the {role} of this folder for every pipeline, such as training/weights/backdrop; a pipeline "
            f"that has none is served without: {without}",
        )


def add_making(step: argparse.ArgumentParser) -> None:
    """How graphs are made."""
    step.add_argument(
        "--target",
        choices=("onnxruntime", "tensorrt"),
        default="onnxruntime",
        help="who serves it; tensorrt adds configs and shapes for engines, onnxruntime serves that repository too",
    )
    step.add_argument(
        "--precision",
        action="append",
        default=[],
        metavar="[MODEL=]P",
        help=f"of the graphs' arithmetic: {', '.join(PRECISIONS)} (fp32); tensors at the border stay FP32. May be "
        f"given several times: fp16, then vae_decoder=fp32",
    )
    step.add_argument(
        "--storage",
        choices=STORAGES,
        default="source",
        help="how weights are stored: as in the folder (source), or FP32 rounded to fp16, which halves the files and "
        "changes the pictures a little; the report says how much",
    )
    step.add_argument(
        "--scheduler",
        action="append",
        default=[],
        dest="schedulers",
        metavar="[PIPELINE=]NAME",
        help=f"the solver of requests that name none: {', '.join(CLASS_OF)}, as the folder's scheduler allows; may be "
        f"given several times (default: that of the folder's backdrop.json, else of its scheduler)",
    )
    step.add_argument(
        "--variant",
        metavar="NAME",
        help="read this variant of the weights where there is one: fp16 for *.fp16.safetensors",
    )
    step.add_argument(
        "--work", type=Path, default=DEFAULT, metavar="FOLDER", help=f"what earlier exports made ({DEFAULT})"
    )
    step.add_argument("--report", type=Path, metavar="FILE", help="write the parity report here, as JSON")
    step.add_argument(
        "--steps",
        type=int,
        default=RehearsalConfig.steps,
        metavar="N",
        help=f"denoising steps of the rehearsal, whose inputs and pictures graphs are compared on, and fp8 is "
        f"calibrated by ({RehearsalConfig.steps}); 0 compares on random inputs alone",
    )
    step.add_argument(
        "--examples",
        type=Path,
        metavar="FOLDER",
        help="photos of the rehearsal, with a line of prompts.txt for each (default: two that are drawn)",
    )


def add_repository(step: argparse.ArgumentParser) -> None:
    """What goes into the repository beside the graphs."""
    step.add_argument("--default", metavar="NAME", help="the pipeline of requests that name none (default: the first)")
    step.add_argument(
        "--rollout",
        action="store_true",
        help="put a changed model in as its next version and keep the one before until prune",
    )


def add_adapters(step: argparse.ArgumentParser) -> None:
    """The adapters of denoisers."""
    step.add_argument(
        "--adapter",
        action="append",
        default=[],
        dest="adapters",
        metavar="[PIPELINE:]NAME=PATH",
        help="a LoRA that rows of the denoiser may name, a safetensors file or a folder of peft's (default pipeline: "
        "the first); may be given several times",
    )
    step.add_argument(
        "--task-adapter",
        action="append",
        default=[],
        dest="task_adapters",
        metavar="[PIPELINE:]TASK=NAME[:WEIGHT]",
        help="an adapter that every request of a task gets without naming it, such as fill=holes (default weight: 1); "
        "may be given several times",
    )
    step.add_argument(
        "--allow-partial",
        action="store_true",
        help="serve adapters without what they have for the text encoders, whose adapters are not served",
    )
    step.add_argument(
        "--adapter-rows",
        type=int,
        metavar="N",
        help="adapters that a denoiser has room for, not counting its folder's own (4)",
    )
    step.add_argument(
        "--adapter-slots",
        type=int,
        metavar="K",
        help="adapters that one request may name at once, not counting its task's own (3)",
    )
    step.add_argument("--adapter-rank", type=int, metavar="R", help="rank that it has room for (default: the files')")


def add_engines(step: argparse.ArgumentParser) -> None:
    """How engines are built."""
    step.add_argument("--store", type=Path, metavar="FOLDER", help="where engines go (default: the work folder)")
    step.add_argument("--builder", choices=BUILDERS, help="(default: the first that is installed)")
    add_build_options(step)


def add_conversion(step: argparse.ArgumentParser) -> None:
    """Which checkpoint is converted."""
    step.add_argument("file", type=Path, metavar="FILE", help="the checkpoint, as safetensors")
    step.add_argument("folder", type=Path, metavar="OUT", help="the diffusers folder to write")
    step.add_argument(
        "--config",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="configs and tokenizers of the same family, which a single file lacks: any diffusers folder of it, "
        "with or without weights",
    )


def add_upscaler(step: argparse.ArgumentParser) -> None:
    """Whose upscaler becomes what."""
    step.add_argument("file", type=Path, metavar="FILE", help="RRDBNet's or SRVGGNetCompact's weights, as safetensors")
    step.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the Triton repository")
    step.add_argument(
        "--pipeline", action="append", default=[], metavar="NAME", help="a pipeline that gets it (default: all)"
    )
    step.add_argument("--name", default="upscaler", help="the model's folder in the repository (default: %(default)s)")


def add_pruning(step: argparse.ArgumentParser, *, model_required: bool = False) -> None:
    """Whose versions are meant."""
    step.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the Triton repository")
    step.add_argument("--model", required=model_required, metavar="NAME", help="only this one")


def add_switching(step: argparse.ArgumentParser) -> None:
    """Which version is meant."""
    add_pruning(step, model_required=True)
    step.add_argument("--version", required=True, metavar="N", help="the version to serve")


def add_trying(step: argparse.ArgumentParser) -> None:
    """What is tried."""
    step.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the Triton repository")
    step.add_argument("--pipeline", metavar="NAME", help="the pipeline to try (default: the repository's default)")
    step.add_argument("--prompt", default="a beach at sunset", metavar="TEXT", help="(default: %(default)s)")
    step.add_argument("--steps", type=int, metavar="N", help="denoising steps (default: the pipeline's)")
    step.add_argument(
        "--picture",
        type=Path,
        default=Path("try.png"),
        metavar="FILE",
        help="where the picture goes (default: %(default)s). It is made from the prompt alone, or, where the pipeline "
        "serves no text_to_image, around a product that is drawn",
    )
    step.add_argument(
        "--timeout-s", type=float, default=600.0, metavar="S", help="longest time for the picture (default: 600)"
    )


APART = {
    "convert": add_conversion,
    "key": signing.add_key,
    "prune": add_pruning,
    "sign": signing.add_signing,
    "switch": add_switching,
    "try": add_trying,
    "upscaler": add_upscaler,
}
"""Steps that export no folder, and their options."""
