"""A request's adapters: names that the pipeline has, each once, with weights in their range."""

from __future__ import annotations

from collections.abc import Sequence

from backdrop.contract.limits import MAX_ADAPTER_WEIGHT
from backdrop.contract.parts import Adapter
from backdrop.errors import BackdropError, Reason, error
from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import info_service_pb2 as info_pb

FIELD = "conditioning.adapters"


def read_adapters(
    messages: Sequence[pb.Adapter], pipeline: info_pb.Pipeline, info: info_pb.GetInfoResponse
) -> tuple[Adapter, ...]:
    """The adapters of a request in the order of their names, without those of weight 0.

    Raises:
        NotFoundError: the pipeline has no adapter of that name.
        InvalidRequestError: one is named twice, a weight is out of range, or there are too many.
    """
    served = {adapter.name for adapter in pipeline.adapters}
    weights: dict[str, float] = {}
    for index, message in enumerate(messages):
        path = f"{FIELD}[{index}]"
        if message.name not in served:
            raise _unknown(path, message.name, pipeline, info)
        if message.name in weights:
            raise error(Reason.DUPLICATE, f"{path}.name is there twice; name each adapter once.", field=f"{path}.name")
        weight = message.weight if message.HasField("weight") else Adapter.weight
        if not abs(weight) <= MAX_ADAPTER_WEIGHT:  # not a number fails this too
            reason = f"must be a number from {-MAX_ADAPTER_WEIGHT} to {MAX_ADAPTER_WEIGHT}"
            raise error(Reason.OUT_OF_RANGE, f"{path}.weight {reason}.", field=f"{path}.weight")
        weights[message.name] = weight
    if len(weights) > pipeline.max_adapters:
        message_text = f"{FIELD} names {len(weights)}; pipeline {pipeline.name} takes {pipeline.max_adapters} at once."
        raise error(Reason.OUT_OF_RANGE, message_text, field=FIELD)
    return tuple(Adapter(name, weight) for name, weight in sorted(weights.items()) if weight)


def _unknown(path: str, name: str, pipeline: info_pb.Pipeline, info: info_pb.GetInfoResponse) -> BackdropError:
    """The refusal of a name, with the adapters that there are and the pipelines that have this one."""
    names = ", ".join(sorted(adapter.name for adapter in pipeline.adapters)) or "none"
    message = f"{path}.name is no adapter of pipeline {pipeline.name}; it has {names}."
    others = sorted(each.name for each in info.pipelines if name in {adapter.name for adapter in each.adapters})
    if others:
        message += f" Of the other pipelines these have it: {', '.join(others)}."
    return error(Reason.UNKNOWN_ADAPTER, message, field=f"{path}.name")
