"""Configs that are tried: written where they belong, and served as they say."""

from pathlib import Path

import pytest

from bench.tune import Config, Step, Trial, candidates, configured, proposal, read, write_repository
from orchestrator import repository


def test_every_value_is_in_the_config(triton_repository: Path) -> None:
    text = (triton_repository / "denoiser" / "config.pbtxt").read_text()
    result = configured(text, Config(instances=3, threads=5, row_workers=2, max_batch=7, delay_us=11))
    for line in (
        "max_batch_size: 7",
        "  max_queue_delay_microseconds: 11",
        "instance_group [ { kind: KIND_CPU count: 3 } ]",
        'parameters { key: "intra_op_threads" value: { string_value: "5" } }',
        'parameters { key: "row_workers" value: { string_value: "2" } }',
    ):
        assert result.splitlines().count(line) == 1
    assert configured(result, Config(3, 5, 2, 7, 11)) == result
    assert read(result) == Config(3, 5, 2, 7, 11)


def test_a_config_without_a_place_for_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match="no place"):
        configured('name: "x"\nmax_batch_size: 1\n', Config())


def test_the_orchestrator_accepts_the_copy(triton_repository: Path, tmp_path: Path) -> None:
    result = write_repository(triton_repository, tmp_path / "tuned", {"denoiser": Config(instances=2, threads=1)})
    served = repository.load(result)
    before = repository.load(triton_repository, verify="nothing")
    assert served.pipelines["backdrop"].fingerprints == before.pipelines["backdrop"].fingerprints


def test_the_proposal_trades_no_lone_latency_for_throughput() -> None:
    steps = Step(2, lone_ms=40.0, rows_s=45.0), Step(2, 43.0, 60.0), Step(2, 70.0, 90.0)
    assert proposal([Trial("denoiser", Config(), step) for step in steps]).step.rows_s == 60.0


def test_nothing_is_tried_twice() -> None:
    for model in ("denoiser", "reward"):
        tried = candidates(model)
        assert len(set(tried)) == len(tried)
