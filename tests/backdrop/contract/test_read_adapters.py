"""A request's adapters: the pipeline's names, each once, weights in their range; what means the same reads the same."""

from __future__ import annotations

import pytest

from backdrop.contract.parts import Adapter
from backdrop.contract.read_adapters import read_adapters
from backdrop.errors import BackdropError, InvalidRequestError, NotFoundError, Reason
from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import info_service_pb2 as info_pb
from tests.backdrop.contract.info import INFO, served_pipeline


def adapted(name: str, *adapters: str, most: int = 2) -> info_pb.Pipeline:
    """A pipeline with adapters of these names."""
    return served_pipeline(name, adapters=[info_pb.AdapterInfo(name=each) for each in adapters], max_adapters=most)


BOTH = adapted("both", "aurelia", "pencil", "neon")
SERVER = info_pb.GetInfoResponse(pipelines=[*INFO.pipelines, BOTH, adapted("ink", "ink", "pencil")])


def read(*messages: pb.Adapter, pipeline: info_pb.Pipeline = BOTH) -> tuple[Adapter, ...]:
    return read_adapters(messages, pipeline, SERVER)


def test_without_adapters_there_are_none() -> None:
    assert read() == read(pipeline=INFO.pipelines[0]) == ()


def test_adapters_are_read_by_name_with_weight_1_by_default() -> None:
    messages = [pb.Adapter(name="pencil", weight=-0.5), pb.Adapter(name="aurelia")]
    assert read(*messages) == read(*reversed(messages)) == (Adapter("aurelia", 1.0), Adapter("pencil", -0.5))


def test_an_adapter_of_weight_0_is_none() -> None:
    assert read(pb.Adapter(name="pencil", weight=0.0), pb.Adapter(name="neon", weight=-0.0)) == ()


@pytest.mark.parametrize("weight", [-5.0, 5.0])
def test_the_ends_of_the_range_are_in_it(weight: float) -> None:
    assert read(pb.Adapter(name="pencil", weight=weight)) == (Adapter("pencil", weight),)


GOOD = pb.Adapter(name="pencil")


@pytest.mark.parametrize(
    ("messages", "reason", "field"),
    [
        ([GOOD, GOOD], Reason.DUPLICATE, "conditioning.adapters[1].name"),
        ([GOOD, pb.Adapter(name="neon"), pb.Adapter(name="aurelia")], Reason.OUT_OF_RANGE, "conditioning.adapters"),
        *(
            ([GOOD, pb.Adapter(name="neon", weight=weight)], Reason.OUT_OF_RANGE, "conditioning.adapters[1].weight")
            for weight in (5.1, -5.1, float("nan"), float("inf"), float("-inf"))
        ),
    ],
)
def test_wrong_adapters_are_refused_by_their_field(messages: list[pb.Adapter], reason: Reason, field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read(*messages)
    assert (caught.value.reason, caught.value.field) == (reason, field)
    assert caught.value.message.endswith(".")


def refusal(name: str, pipeline: info_pb.Pipeline) -> BackdropError:
    with pytest.raises(NotFoundError) as caught:
        read(GOOD if pipeline is BOTH else pb.Adapter(name=name), pb.Adapter(name=name), pipeline=pipeline)
    return caught.value


def test_an_unknown_name_is_not_found_and_the_adapters_are_named() -> None:
    error = refusal("ink", BOTH)
    assert (error.reason, error.field) == (Reason.UNKNOWN_ADAPTER, "conditioning.adapters[1].name")
    assert error.message.endswith(
        "is no adapter of pipeline both; it has aurelia, neon, pencil. Of the other pipelines these have it: ink."
    )
    assert refusal("", BOTH).message.endswith("it has aurelia, neon, pencil.")


def test_a_pipeline_without_adapters_says_so() -> None:
    assert refusal("ink", INFO.pipelines[0]).message.endswith("it has none. Of the other pipelines these have it: ink.")
    assert refusal("x" * 100_000, INFO.pipelines[0]).message.endswith("it has none."), "a name is not repeated"
