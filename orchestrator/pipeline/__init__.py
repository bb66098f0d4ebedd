"""A request's way through the stages: their order, its events, its deadline and its cancellation."""

from orchestrator.pipeline.pipeline import Pipeline

__all__ = ["Pipeline"]
