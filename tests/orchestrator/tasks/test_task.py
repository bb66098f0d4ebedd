"""Tasks as descriptions: they are those of the contract, and name fields that their messages have."""

from __future__ import annotations

import numpy as np
import pytest

from backdrop.contract.geometry import Size
from backdrop.contract.rules import TASKS
from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.tasks import ALL, MaskNeed, Task, TaskInput

BUCKETS = (Size(64, 48), Size(48, 64))


def test_every_task_of_the_contract_has_its_page() -> None:
    assert set(ALL) == set(TASKS) == {field.name for field in pb.GenerateRequest.DESCRIPTOR.oneofs[0].fields}
    assert all(task.rules is TASKS[name] for name, task in ALL.items())


@pytest.mark.parametrize("task", ALL.values(), ids=ALL)
def test_its_message_has_the_fields_that_it_reads(task: Task) -> None:
    message = pb.GenerateRequest.DESCRIPTOR.fields_by_name[task.name].message_type
    assert message is not None
    needed = {task.picture} if task.picture else set()
    needed |= {"mask"} if task.mask is not MaskNeed.NONE else set()
    assert needed <= set(message.fields_by_name)
    assert task.picture or not task.keeps_pixels, "pixels are kept of a picture"


def test_the_frame_has_the_requested_size_else_the_pictures_else_the_first_buckets() -> None:
    picture = np.zeros((30, 20, 3), np.uint8)
    assert TaskInput(None, BUCKETS, Size(100, 90), picture).size == Size(100, 90)
    assert TaskInput(None, BUCKETS, None, picture).size == Size(20, 30)
    assert TaskInput(None, BUCKETS).size == Size(64, 48)
