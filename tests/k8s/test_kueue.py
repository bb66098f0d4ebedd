"""Jobs in a queue of Kueue: those that start by themselves, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.k8s.rendering import COMPONENTS, Manifest, combine, of
from tests.k8s.test_jobs import released

QUEUE = "kueue.x-k8s.io/queue-name"


def without_label(manifest: Manifest) -> Manifest:
    metadata = manifest["metadata"]
    labels = {name: value for name, value in metadata.get("labels", {}).items() if name != QUEUE}
    return {**manifest, "metadata": {**metadata, "labels": labels}}


def test_jobs_that_start_by_themselves_wait_in_the_queue(tmp_path: Path) -> None:
    others = ("load-test", "object-store", "smoke-test")
    before = combine(tmp_path / "before", "production", others)
    after = combine(tmp_path / "after", "production", (*others, "kueue"))
    queued = {job["metadata"]["name"] for job in of(after, "Job") if QUEUE in job["metadata"]["labels"]}
    # Kueue starts whatever is suspended in its queue, and nobody wants a load test by surprise.
    by_hand = {job["metadata"]["name"] for job in of(after, "Job") if job["spec"].get("suspend")}
    assert by_hand == {"load-test"}
    assert queued == {job["metadata"]["name"] for job in of(after, "Job")} - by_hand
    assert [without_label(manifest) for manifest in after] == [without_label(manifest) for manifest in before]


@pytest.mark.full
def test_a_job_that_a_release_named_waits_too(tmp_path: Path) -> None:
    (job,) = of(released(tmp_path / "a", "a", "components: [../components/kueue]\n"), "Job")
    assert job["metadata"]["name"] != "publish-models"
    assert job["metadata"]["labels"][QUEUE] == "backdrop"


def test_it_comes_last_in_combinations() -> None:
    assert COMPONENTS[-1] == "kueue"
