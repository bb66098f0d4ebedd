"""The folders exported by the documented command and served by the real cluster, or served in this process."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backdrop import Client, Fill, TextToImage
from backdrop.contract.vocabulary import SCHEDULER_VALUES
from backdrop.v1 import generation_service_pb2 as pb
from bench.figures import ROOT
from export.rehearsal.pictures import psnr
from local.cluster import Cluster, Options
from tests.export.oracle import cases, extras, peers
from tests.export.oracle.cases import Bytes, Case
from tests.export.oracle.folders import FAMILIES
from tests.export.oracle.in_process import InProcess
from tests.messages import generate_request
from tests.pictures import encoded


@dataclass(frozen=True)
class Comparison:
    """One case: how far the served picture is from diffusers'."""

    case: Case
    largest: int
    """Difference of a pixel, of 255."""
    psnr: float
    """In dB."""


@contextlib.contextmanager
def oracle(work: Path, families: Sequence[str] = tuple(FAMILIES)) -> Iterator[Client]:
    """Writes the folders below `work`, exports them with `python -m export all`, and serves them.

    What is in `work` already is taken as it is.
    """
    repository = work / "repository"
    named: list[str] = []
    for name in families:
        named += ("--pipeline", str(work / name))
        for layout, path in write(work / name).items():
            named += ("--adapter", f"{name}:{layout}={path}")
    if not repository.is_dir():
        folders = ("--out", str(repository), "--work", str(work / "kept"))
        subprocess.run([sys.executable, "-m", "export", "all", *named, *folders, "--steps", "2"], cwd=ROOT, check=True)
    with (
        Cluster(Options(repository=repository, log_folder=work / "logs", port=0)) as cluster,
        Client(cluster.endpoints.orchestrator, timeout_s=300) as client,
    ):
        yield client


def write(folder: Path) -> dict[str, Path]:
    """Writes a family's folder, with all that goes with it; returns its LoRAs by name."""
    if not folder.is_dir():
        FAMILIES[folder.name](folder)
        if folder.name in extras.STYLED:
            extras.add_style(folder)
    return extras.write_loras(folder) if folder.name in extras.ADAPTED else {}


def compare(make: Callable[[Case], Bytes], work: Path, case: Case) -> Comparison:
    """Makes one case's picture both ways; `work` has the folders."""
    difference = np.abs(make(case).astype(np.int16) - peers.picture(work / case.family, case)).astype(np.uint8)
    return Comparison(case, int(difference.max()), psnr(difference))


def by_cluster(client: Client) -> Callable[[Case], Bytes]:
    """Pictures of a cluster."""

    def make(case: Case) -> Bytes:
        task = TextToImage() if case.mask is None else Fill(encoded(cases.photo()), encoded(cases.mask(case.mask)))
        result = client.generate(
            task,
            prompt=cases.PROMPT,
            negative_prompt=case.negative or "",
            style_images=[] if case.style is None else [encoded(cases.style())],
            image_scale=case.style,
            adapters=dict(case.adapters),
            pipeline=case.family,
            scheduler=case.solver,
            steps=case.steps,
            guidance_scale=case.guidance,
            seed=case.seed,
            variants=1,
            top_k=1,
        ).result()
        return np.asarray(result.pictures[0].image().convert("RGB"))

    return make


def in_process(served: InProcess) -> Callable[[Case], Bytes]:
    """Pictures of one folder that is served in this process."""

    def make(case: Case) -> Bytes:
        task, fields = "text_to_image", {"prompt": cases.PROMPT, "seed": case.seed, "variants": 1, "top_k": 1}
        settings = {"steps": case.steps, "guidance_scale": case.guidance, "negative_prompt": case.negative}
        fields |= {name: value for name, value in settings.items() if value is not None}
        if case.solver is not None:
            fields["scheduler"] = SCHEDULER_VALUES[case.solver]
        if case.style is not None:
            fields |= {"style_images": [pb.StyleImage(image=encoded(cases.style()))], "image_scale": case.style}
        fields["adapters"] = [pb.Adapter(name=name, weight=weight) for name, weight in case.adapters]
        if case.mask is not None:
            task, mask = "fill", encoded(cases.mask(case.mask))
            fields |= {"picture": encoded(cases.photo()), "mask": mask}
        return asyncio.run(served.picture(generate_request(task, **fields)))

    return make
