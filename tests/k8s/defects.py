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
_PROMISES = "tests/k8s/test_promises.py"
_STORE = "tests/orchestrator/repository/test_store.py"

DEFECTS: dict[int, Defect] = {
    1: Defect(
        "engine builds deadlock where GPUs = Tritons, and build for one kind of GPU",
        (
            f"{_INSTALLS}::test_as_many_gpus_as_tritons_are_enough",
            f"{_INSTALLS}::test_each_role_has_engines_of_its_own_models",
        ),
    ),
    2: Defect(
        "large repositories are read before the orchestrator listens, twice, and by GPU pods that load none of it",
        (
            f"{_STORE}::test_a_published_repository_is_not_read_again",
            f"{_STORE}::test_the_orchestrator_waits_for_the_folder",
            "tests/k8s/test_large_repositories.py",
        ),
    ),
    3: Defect(
        "autoscalers follow signals that their pods do not shorten, and take no numbers for zero",
        (
            "tests/k8s/test_scaling.py::test_nothing_scales_out_for_what_it_does_not_shorten",
            "tests/k8s/test_scaling.py::test_keda_keeps_the_bounds_and_the_behavior_of_the_overlay",
            "tests/k8s/test_scaling.py::test_no_numbers_are_not_zero",
            "tests/orchestrator/scheduling/test_admission.py::test_a_request_that_is_never_admitted_counts_as_waiting",
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
    6: Defect(
        "the Secret is made before its namespace",
        ("tests/k8s/test_install_steps.py::test_each_step_finds_its_namespace",),
    ),
    7: Defect("a second cell keeps the addresses, subjects and queries of the first", ("tests/k8s/test_cells.py",)),
    8: Defect("dead and tainted zones count in the spread, and so do old revisions", ("tests/k8s/test_spread.py",)),
    9: Defect("the quota refuses combinations that are shipped", ("tests/k8s/test_quotas.py",)),
    10: Defect(
        "gateways cut streams, and load balancers and proxies are not admitted",
        (
            "tests/k8s/test_reach.py::test_load_balancers_have_time_to_learn_that_a_pod_stops",
            "tests/k8s/test_reach.py::test_envoy_cuts_no_stream",
            "tests/k8s/test_reach.py::test_googles_load_balancers_reach_pods_and_ask_for_health_by_grpc",
            "tests/k8s/test_reach.py::test_a_proxy_in_our_namespace_is_admitted_by_policies_and_quota",
        ),
    ),
    11: Defect(
        "collectors, object stores and identity services are not reached",
        (
            "tests/k8s/test_reach.py::test_spans_reach_the_collector_that_the_settings_name",
            "tests/k8s/test_reach.py::test_the_publisher_reaches_stores_and_identities_alone",
            "tests/k8s/test_reach.py::test_a_store_inside_the_cluster_is_reached",
        ),
    ),
    12: Defect(
        "alerts cannot fire or name nobody, and series grow for ever",
        (
            "tests/k8s/test_rules.py",
            "tests/k8s/test_monitoring.py",
            "tests/orchestrator/telemetry/test_metrics.py",
        ),
    ),
    13: Defect(
        "Jobs cannot be changed by a release, and their TTL has GitOps run them daily", ("tests/k8s/test_jobs.py",)
    ),
    14: Defect("Redis is ready while it loads, and its user may do too much", ("tests/k8s/test_redis.py",)),
    15: Defect(
        "volumes that belong to root, partial files of one name, disks that are full, repositories that stay for ever",
        (
            f"{_STORE}::test_publishers_with_one_process_number_do_not_share_a_folder",
            f"{_STORE}::test_old_repositories_are_removed",
            f"{_STORE}::test_a_volume_that_is_not_ours_is_told",
            f"{_ENGINES}/test_store.py::test_containers_with_one_process_number_do_not_share_a_partial_file",
            "tests/k8s/test_clouds.py::test_its_volumes_belong_to_us",
            f"{_PROMISES}::test_resources_are_bounded",
            f"{_PROMISES}::test_a_pods_disk_holds_what_its_volumes_may",
        ),
    ),
    16: Defect(
        "Triton's entry point is bypassed, and the driver is not named",
        (f"{_PROMISES}::test_nvidias_images_start_by_their_entry_point",),
    ),
    17: Defect(
        "the key of restricted protocols is the pod's UID, which EndpointSlices show",
        (f"{_PROMISES}::test_no_key_is_a_field_that_others_may_read",),
    ),
    18: Defect("images by digest are pulled at each start", (f"{_PROMISES}::test_a_digest_is_pulled_once",)),
}
COUNT = 18
"""How many the review found."""
