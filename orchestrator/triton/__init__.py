"""Calls to Triton: a pool of replicas that retries, ejects and heals, behind one `infer`."""

from __future__ import annotations

from orchestrator.triton.pool import CallObserver, PoolOptions, TritonPool
from orchestrator.triton.shared_memory import Sharing
from orchestrator.triton.tensors import ModelMetadata, TensorSpec
from orchestrator.triton.wire import Wire, open_wire

__all__ = ["CallObserver", "ModelMetadata", "PoolOptions", "Sharing", "TensorSpec", "TritonPool", "Wire", "open_wire"]
