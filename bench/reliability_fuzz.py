"""Fuzzing at full length: turns of every target until a million inputs have run, over as many starts as it takes."""

from __future__ import annotations

from bench.figures import Figure, at_least, at_most
from tests.fuzz import registry
from tests.fuzz.turns import Counts, read_state, run

EXECUTIONS = 1_000_000
_MINUTES = 3.0


def fuzz(command: str) -> list[Figure]:
    """Goes on where an earlier run was stopped, and counts what all of them have shown."""
    names = [*registry.PARSERS, *registry.SERVERS]
    state = read_state()
    while _executions(state) < EXECUTIONS and not _failures(state):
        state = run(names, _MINUTES)
    spread = f"{len(state)} targets, {sum(each.seconds for each in state.values()) / 60:.0f} min; calls: " + ", ".join(
        f"{name} {state[name].executions}" for name in (*registry.SERVERS, *registry.CLUSTER) if name in state
    )
    outcomes = "fuzzing: crashes, hangs, INTERNAL or UNKNOWN, leaked paths"
    return [
        Figure("fuzzing: executions", _executions(state), at_least(EXECUTIONS), command, spread),
        Figure(outcomes, _failures(state), at_most(0), command),
    ]


def _executions(state: dict[str, Counts]) -> int:
    return sum(counts.executions for counts in state.values())


def _failures(state: dict[str, Counts]) -> int:
    return sum(counts.failures for counts in state.values())
