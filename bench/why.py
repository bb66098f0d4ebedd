"""Why marks are missed, as profiling has found: said beside the figure for as long as it is missed."""

from __future__ import annotations

import dataclasses

from bench.figures import Figure

# By the beginning of the figure's name.
REASONS: dict[str, str] = {
    "throughput, backdrop ÷ inprocess×2": (
        "the processors are full: of the 1.09 s of two cores that a picture takes the graphs are 0.95 s, the"
        " orchestrator 0.09 s (a sixth of it the picture's PNG, the rest spread over the event loop, gRPC and the"
        " batcher), Triton 0.02 s, the caller 0.01 s, and 0.02 s is idle"
    ),
    "throughput, backdrop ÷ inprocess": (
        "two processes without any server reach 1.3 of inprocess on these cores, since two threads of one graph already"
        " run at 1.6 times one; the mark would need serving at no cost"
    ),
    "throughput, backdrop ÷ diffusers": (
        "torch reaches 0.6 to 0.85 of inprocess on such machines, 0.4 to 0.65 where the mark was taken; what the"
        " cluster makes of its processors is said above"
    ),
    "embedding cache": ("two text encoders of 2 and 4 ms are little to save; a hit takes the event loop 1 ms"),
    "highest Poisson rate with ≥ 90 % within 2× solo, emulated near-linear engine, mixed lengths": (
        "few requests were measured, each of them some percents of the share; the batcher's own order, at no cost,"
        " reaches 2.8 of the monolith's rate in a simulation (`python -m bench.emulated.ideal`)"
    ),
    "highest Poisson rate with ≥ 90 % within 2× solo, emulated near-linear": (
        "one request fills such an engine: no order of serving reaches it where all are equally long. The batcher's"
        " own, at no cost, reaches 1.5 of the monolith's rate in a simulation (`python -m bench.emulated.ideal`)"
    ),
    "highest Poisson rate with ≥ 90 % within 2× solo, on the CPU": (
        "a row costs two cores nearly as much in company as alone: no order of serving reaches it where all are equally"
        " long. The batcher's own, at no cost, reaches 1.4 of the monolith's rate in a simulation"
        " (`python -m bench.emulated.ideal`)"
    ),
    "orchestrator tax at saturation, the CPU": "the orchestrator and the caller run on the engine's own two cores",
}


def told(figure: Figure) -> Figure:
    """The figure, with the reason if its mark is missed and a reason is known."""
    if figure.met:
        return figure
    reasons = (reason for start, reason in REASONS.items() if figure.name.startswith(start))
    return dataclasses.replace(figure, why=next(reasons, figure.why))
