"""What was measured of an exported model, as it is kept and reported; measuring itself is `parity.py`'s."""

from __future__ import annotations

import resource
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from export.errors import ParityError

TOLERANCE = {"fp32": 1e-4, "fp16": 2e-2, "bf16": 1e-1, "fp8": 2e-1}
"""Largest |torch − onnx| over largest |torch| of an output, by the graph's precision.

torch computes in FP32 with the folder's own weights, whatever the graph does, so the tolerance covers what the
precision costs, and not only errors of the exporter. What `--storage fp16` changes is measured by itself, may be as
much as the precision fp16 may, and comes on top.
"""
LEAST_PSNR = {"fp32": 50.0, "fp16": 40.0, "bf16": 25.0, "fp8": 25.0}
"""Of a pipeline's pictures compared with torch's in FP32, in dB, by the lowest precision among its graphs.

50 dB is an error of half a step of 255, 40 dB is not seen, 25 dB is a picture of the same scene with other details.
"""
Conditioning = Literal["random", "real"]
"""Inputs drawn at random, or the inputs that a rehearsal of the pipeline gave the component."""


@dataclass(frozen=True)
class DiskSizes:
    """What lies in a model's version folder."""

    graph: int
    """Bytes of `model.onnx`."""
    files: int
    """Bytes of the weights files beside it."""
    referred: int
    """Bytes of those that the graph reads."""


@dataclass(frozen=True)
class TraceCost:
    """What making a graph took, in this export or an earlier one."""

    seconds: float
    peak_mib: float
    """Peak memory of the process until then."""

    @classmethod
    def since(cls, started: float) -> TraceCost:
        """As of now, from a moment of `time.monotonic`."""
        return cls(round(time.monotonic() - started, 2), round(peak_mib(), 1))


def peak_mib() -> float:
    """Peak resident memory of this process, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@dataclass(frozen=True)
class Difference:
    """One output in one case."""

    output: str
    rows: int
    height: int
    width: int
    absolute: float
    relative: float
    """For outputs of zeros and ones, the share of bits that differ."""
    exact: bool
    """Whether the first row alone gives, to the bit, what it gives in this batch."""
    conditioning: Conditioning = "random"


@dataclass(frozen=True)
class ComponentReport:
    """All that was measured of one component."""

    model: str
    precision: str
    tolerance: float
    """By precision, and by what rounding the weights changed."""
    differences: tuple[Difference, ...]
    rounding: float
    """Relative change of the outputs by rounding the weights to fp16 (`--storage fp16`); 0 where none was rounded."""

    @property
    def worst(self) -> Difference:
        """The case with the largest relative difference, among those that the tolerance applies to.

        fp8's scales come from real inputs. Random inputs exceed them and are cut off, so they do not count for fp8.
        """
        real = self.worst_of("real") if self.precision == "fp8" else None
        return real or max(self.differences, key=lambda difference: difference.relative)

    def worst_of(self, conditioning: Conditioning) -> Difference | None:
        """The same among random or among real inputs; None where there were none."""
        some = [difference for difference in self.differences if difference.conditioning == conditioning]
        return max(some, key=lambda difference: difference.relative, default=None)

    @property
    def exact(self) -> bool:
        """Whether rows were bit-identical alone and batched with others, in every case."""
        return all(difference.exact for difference in self.differences)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON-ready values."""
        return asdict(self) | {"worst": asdict(self.worst), "exact": self.exact}

    @classmethod
    def from_json(cls, value: Mapping[str, Any], model: str) -> ComponentReport:
        """Reads what `to_json` wrote, for a model that may have another name, with today's tolerance.

        Raises:
            KeyError, TypeError: if it is something else.
        """
        precision = value["precision"]
        differences = tuple(Difference(**difference) for difference in value["differences"])
        return cls.judged(model, precision, differences, value["rounding"])

    @classmethod
    def judged(
        cls, model: str, precision: str, differences: tuple[Difference, ...], rounding: float
    ) -> ComponentReport:
        """A report with today's tolerance."""
        # A graph of lower precision rounds the same weights when it computes, so its tolerance covers that already.
        allowed = TOLERANCE[precision] + (rounding if precision == "fp32" else 0.0)
        return cls(model, precision, allowed, differences, rounding)


@dataclass(frozen=True)
class ModelReport:
    """One exported model: its sizes, what it took, and how far it is from torch."""

    model: str
    parameters: int
    disk: DiskSizes
    seconds: float
    peak_mib: float
    """Peak memory of the process so far: it never falls, so the last model's is the export's."""
    parity: ComponentReport
    cost: TraceCost | None = None
    """What the graph took to make, in this export or an earlier one; None where there is no work folder."""
    kept: bool = False
    """Whether graph and comparison are those of an earlier export, taken from the work folder."""

    def to_json(self) -> dict[str, Any]:
        """The model's part of the report."""
        return {
            "model": self.model,
            "parameters": self.parameters,
            "graph_bytes": self.disk.graph,
            "weights_bytes": self.disk.files,
            "referred_bytes": self.disk.referred,
            "seconds": round(self.seconds, 2),
            "peak_mib": round(self.peak_mib, 1),
            "kept": self.kept,
            "made": None if self.cost is None else asdict(self.cost),
            "parity": self.parity.to_json(),
        }


def check(report: ComponentReport) -> None:
    """Refuses a graph that is outside its tolerance.

    Raises:
        ParityError: naming the output, the case and the difference.
    """
    worst = report.worst
    if not report.rounding <= TOLERANCE["fp16"]:
        raise ParityError(
            f"{report.model}: rounding its weights to fp16 changes the outputs by {report.rounding:.2e} (relative), "
            f"more than {TOLERANCE['fp16']:.0e}. Export it with --storage source."
        )
    # Written so that a NaN, which compares false with everything, is refused too.
    if not worst.relative <= report.tolerance:
        remedy = "" if report.precision == "fp32" else f" Export it with --precision {report.model}=fp32."
        raise ParityError(
            f"{report.model}: {worst.output} differs from torch by {worst.relative:.2e} (relative) "
            f"for {worst.rows} rows of {worst.height}×{worst.width}, {worst.conditioning} inputs; "
            f"the tolerance for {report.precision} is {report.tolerance:.0e}.{remedy}"
        )


@dataclass(frozen=True)
class PictureReport:
    """How far a pipeline's pictures are from torch's, end to end."""

    pipeline: str
    precision: str
    """The lowest among its graphs."""
    steps: int
    pictures: int
    largest: int
    """The largest difference of a pixel, in steps of 255."""
    psnr: float
    """In dB, of the worst picture; 100 where all are equal."""

    @property
    def least(self) -> float:
        """What `psnr` must reach."""
        return LEAST_PSNR[self.precision]

    def to_json(self) -> dict[str, Any]:
        """The report as JSON-ready values."""
        return asdict(self) | {"least_psnr": self.least}

    @classmethod
    def from_json(cls, value: Mapping[str, Any], pipeline: str) -> PictureReport:
        """Reads what `to_json` wrote, for a pipeline that may have another name.

        Raises:
            KeyError, TypeError: if it is something else.
        """
        fields = ("precision", "steps", "pictures", "largest", "psnr")
        return cls(pipeline=pipeline, **{name: value[name] for name in fields})


def check_picture(report: PictureReport) -> None:
    """Refuses a pipeline whose pictures are too far from torch's although each graph is within its tolerance.

    Raises:
        ParityError: naming the pipeline and the difference.
    """
    if not report.psnr >= report.least:
        raise ParityError(
            f"{report.pipeline}: after {report.steps} steps its picture is {report.psnr:.0f} dB from torch's; "
            f"{report.precision} must reach {report.least:.0f}. Give the denoiser or the VAE a higher --precision."
        )


@dataclass(frozen=True)
class ExportReport:
    """The result of an export."""

    models: tuple[ModelReport, ...] = ()
    """Those that were compared with torch."""
    pictures: tuple[PictureReport, ...] = ()
    """Of the pipelines that were rehearsed."""
    graphs: int = 0
    """Graphs that were made or taken, compared or not."""
    notes: tuple[str, ...] = ()
    """What a user should know although it is not a problem, a sentence each."""
    serving: tuple[str, ...] = ()
    """What the orchestrator says of the repository, line by line: the tasks of each pipeline, and why not others."""
