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
    for engine in dict.fromkeys(one.engine for one in answers):
        mine = [one for one in answers if one.engine == engine]
        gpus = [one.gpus for one in mine]
        rates.plot(gpus, [one.outcome.rate for one in mine], "o-", label=engine)
        waits.plot(gpus, [one.outcome.p95_s for one in mine], "o-", label=engine)
        for one in mine:
            rates.annotate(f"{one.orchestrators}", (one.gpus, one.outcome.rate), xytext=(4, -12),
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
