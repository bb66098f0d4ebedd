"""Contracts: what of a model is kept without torch, and read again as it was."""

from __future__ import annotations

import json

import pytest

from export.contract import Axis, Contract, TensorSpec

CONTRACT = Contract(
    (TensorSpec("sample", "FP32", (4, Axis("height", 4, high=24), Axis("width", 4))), TensorSpec("t", "FP32", (1,))),
    (TensorSpec("noise_pred", "FP32", (4, Axis("height", 4), Axis("width", 4))),),
    max_batch_size=16,
    parameters={"intra_op_threads": "2"},
)


def test_a_contract_is_read_as_it_was_written() -> None:
    assert Contract.from_json(json.loads(json.dumps(CONTRACT.to_json()))) == CONTRACT


def test_something_else_is_no_contract() -> None:
    with pytest.raises((KeyError, TypeError)):
        Contract.from_json({"inputs": [{"name": "sample"}]})


def test_what_varies_is_minus_one_to_triton() -> None:
    assert CONTRACT.inputs[0].dims == (4, -1, -1)
