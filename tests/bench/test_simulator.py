"""The simulator against queues whose answers are known."""

from __future__ import annotations

import pytest

from bench.capacity.costs import ModelCost, OrchestratorCost, Site, Work
from bench.capacity.figures import Costs
from bench.capacity.machine import CORES
from bench.capacity.simulator import Run

FREE = OrchestratorCost(request_s=0, call_s=0, choice_s=0, probe_s=0)
ONE_CALL = Work(once=(), steps=1, step=("m", 1), variants=1, after=())


def site(replicas: int = 1, orchestrators: int = 1, cost: OrchestratorCost = FREE, **model: float) -> Site:
    cost_of_model = ModelCost(
        fixed_s=model.get("fixed_s", 0.1), row_s=model.get("row_s", 0.0), max_rows=int(model.get("cap", 1))
    )
    return Site(replicas, orchestrators, {"m": cost_of_model}, cost)


def test_a_caller_alone_does_not_wait() -> None:
    outcome = Run(site(), ONE_CALL).closed(callers=1, seconds=40)
    assert outcome.rate == pytest.approx(10, rel=0.02)
    assert outcome.p95_s == pytest.approx(0.1)
    assert outcome.engine_busy == pytest.approx(1, rel=0.01)


def test_waiting_is_that_of_an_m_d_1_queue() -> None:
    # Pollaczek-Khinchine for fixed service: W = S + ρ S / (2 (1 - ρ)).
    run = Run(site(), ONE_CALL, seed=3)
    outcome = run.open(rate=7, seconds=20_000)
    mean = sum(length for _, length in run.times) / len(run.times)
    assert mean == pytest.approx(0.1 + 0.7 * 0.1 / (2 * 0.3), rel=0.03)
    assert outcome.engine_busy == pytest.approx(0.7, rel=0.02)


def test_rows_that_wait_go_together() -> None:
    outcome = Run(site(cap=4), ONE_CALL).closed(callers=8, seconds=40)
    assert outcome.rows_per_batch == pytest.approx(4, rel=0.02)
    assert outcome.rate == pytest.approx(40, rel=0.02)


def test_replicas_add_up() -> None:
    outcome = Run(site(replicas=5), ONE_CALL).closed(callers=5, seconds=40)
    assert outcome.rate == pytest.approx(50, rel=0.02)


def test_an_orchestrator_is_a_bound_of_its_own() -> None:
    cost = OrchestratorCost(request_s=0, call_s=0.05, choice_s=0, probe_s=0)
    one = Run(site(replicas=10, cost=cost), ONE_CALL).closed(callers=40, seconds=800)
    assert one.rate == pytest.approx(20, rel=0.03)
    two = Run(site(replicas=10, orchestrators=2, cost=cost), ONE_CALL).closed(callers=40, seconds=800)
    assert two.rate == pytest.approx(40, rel=0.05)


def test_probes_take_what_is_theirs() -> None:
    cost = OrchestratorCost(request_s=0, call_s=0.05, choice_s=0, probe_s=0.025, probe_interval_s=0.5)
    assert cost.probing(10) == pytest.approx(0.5)
    outcome = Run(site(replicas=10, cost=cost), ONE_CALL).closed(callers=40, seconds=800)
    assert outcome.rate == pytest.approx(10, rel=0.03), "half a core is left for calls"


def test_orchestrators_do_not_see_each_others_rows() -> None:
    # With one, two requests never meet on a replica while another is idle; with many, they do.
    one = Run(site(replicas=20), ONE_CALL, seed=1).open(rate=120, seconds=60)
    many = Run(site(replicas=20, orchestrators=20), ONE_CALL, seed=1).open(rate=120, seconds=60)
    assert one.p95_s < 0.8 * many.p95_s


def test_variants_run_side_by_side_and_steps_one_after_another() -> None:
    work = Work(once=(("m", 1),), steps=3, step=("m", 1), variants=2, after=(("m", 1),))
    assert work.calls == 1 + 2 * 4
    outcome = Run(site(replicas=2), work).closed(callers=1, seconds=40)
    assert outcome.p50_s == pytest.approx(0.5), "one, then four of each variant side by side"


def test_on_one_machine_models_and_orchestrator_take_turns() -> None:
    cost = OrchestratorCost(request_s=0, call_s=0.1, choice_s=0, probe_s=0)
    together = Site(1, 1, {"m": ModelCost(0.1, 0, 1)}, cost, shared_machine=True)
    assert Run(together, ONE_CALL).closed(callers=2, seconds=40).rate == pytest.approx(5, rel=0.05)


def test_the_costs_on_disk_are_those_of_the_simulator() -> None:
    costs = Costs.load()
    assert set(dict((*costs.work.once, costs.work.step, *costs.work.after))) <= set(costs.models)
    assert costs.of_own_core().call_s == pytest.approx(costs.orchestrator.call_s * CORES)
    assert costs.of_own_core().probe_s == costs.probe_s > 0
