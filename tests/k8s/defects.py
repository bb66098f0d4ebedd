"""Defects that a review of the manifests found, each with the tests that failed before it was mended.

`python -m bench.kubernetes defects` runs all of them here, where they must pass, and once over the commit `BEFORE`,
where at least one of each defect must fail.
"""

from __future__ import annotations

from dataclasses import dataclass

BEFORE = "e4838e1"
"""The commit that the review read."""


@dataclass(frozen=True)
class Defect:
    """One defect: what it was, and the ids of its tests, whole modules or single functions."""

    what: str
    tests: tuple[str, ...]


_INSTALLS = "tests/k8s/test_simulated_installs.py"
_ENGINES = "tests/export/engines"

DEFECTS: dict[int, Defect] = {
    1: Defect(
        "engine builds deadlock where GPUs = Tritons, and build for one kind of GPU",
        (
            f"{_INSTALLS}::test_as_many_gpus_as_tritons_are_enough",
            f"{_INSTALLS}::test_each_role_has_engines_of_its_own_models",
        ),
    ),
    4: Defect(
        "GPU nodes are selected by a label that no template has", (f"{_INSTALLS}::test_a_pool_without_nodes_gets_them",)
    ),
    5: Defect(
        "GPUs of one compute capability share engines",
        (
            f"{_ENGINES}/test_store.py::test_gpus_of_one_compute_capability_have_engines_of_their_own",
            f"{_ENGINES}/test_seam.py",
        ),
    ),
}
COUNT = 18
"""How many the review found."""
