"""Calls to Triton: a pool of replicas that retries, ejects and heals, behind one `infer`."""

from __future__ import annotations

from orchestrator.triton.pool import CallObserver, TritonPool
from orchestrator.triton.tensors import ModelMetadata, TensorSpec

__all__ = ["CallObserver", "ModelMetadata", "TensorSpec", "TritonPool"]
