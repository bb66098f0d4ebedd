"""The targets by name; each is made when it is needed, since a process fuzzes one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.fuzz import served, targets
from tests.fuzz.targets import Target

PARSERS: Mapping[str, Callable[[], Target]] = {
    "pictures": targets.pictures,
    "masks": targets.masks,
    "safetensors": targets.safetensors,
    "pipeline-json": targets.pipeline_json,
    "tokenizer": targets.tokenizer,
    "prompts": targets.prompts,
    "configs": targets.configs,
    "environment": targets.environment,
    "colours": targets.colours,
    "layouts": targets.layouts,
    "codec": targets.codec,
    "tokens": targets.tokens,
}
SERVERS: Mapping[str, Callable[[], Target]] = {
    "requests": served.requests,
    "headers": served.headers,
    "fake": served.fake,
}
CLUSTER: Mapping[str, Callable[[], Target]] = {"cluster": served.cluster}
"""Needs a running server."""
ALL = {**PARSERS, **SERVERS, **CLUSTER}
