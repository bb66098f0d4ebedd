"""Readiness by the standard gRPC health protocol, which Triton and the orchestrator both speak."""

from __future__ import annotations

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


def serving(endpoint: str, timeout_s: float = 1.0) -> bool:
    """Whether the server at `endpoint` reports SERVING for itself as a whole."""
    # Loopback must not go through a proxy of the environment.
    with grpc.insecure_channel(endpoint, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
