"""The plot of docs/operations.md: the rate that is carried and what it takes, over GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.capacity.answers import Answer


def draw(answers: Sequence[Answer], file: Path) -> None:
    """Rate and p95 over the number of GPUs, by engine."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (rates, waits) = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for engine in dict.fromkeys(found.engine for found in answers):
        mine = [found for found in answers if found.engine == engine]
        gpus = [found.gpus for found in mine]
        rates.plot(gpus, [found.outcome.rate for found in mine], "o-", label=engine)
        waits.plot(gpus, [found.outcome.p95_s for found in mine], "o-", label=engine)
        for found in mine:
            rates.annotate(f"{found.orchestrators}", (found.gpus, found.outcome.rate), xytext=(4, -12),
                           textcoords="offset points", fontsize=8)  # fmt: skip
    rates.set(
        xscale="log", yscale="log", xlabel="GPUs", ylabel="requests a second", title="at the points: orchestrators"
    )
    waits.set(xscale="log", xlabel="GPUs", ylabel="p95 of a request, seconds", ylim=(0, None))
    for axis in (rates, waits):
        axis.grid(visible=True, alpha=0.3)
        axis.legend(frameon=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=120)
    pyplot.close(figure)
