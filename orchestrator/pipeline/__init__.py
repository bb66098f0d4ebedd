"""A request on its way through the stages: their order, and the request's events, deadline and cancellation."""

from orchestrator.pipeline.pipeline import Pipeline

__all__ = ["Pipeline"]
