"""What is promised for each fault. A test that shows a promise carries `@pytest.mark.promise(NAME)`.

`python -m bench.reliability promises` runs them all, and docs/reliability.md lists them.
"""

from __future__ import annotations

from typing import NamedTuple


class Promise(NamedTuple):
    """One fault, and what callers notice of it."""

    fault: str
    promise: str


PROMISES: dict[str, Promise] = {
    "replica-killed": Promise(
        "a Triton is killed (SIGKILL) in the middle of a picture; its connections are reset or spoiled",
        "no request fails; each makes at most one step again; no byte of a picture changes",
    ),
    "replica-hangs": Promise(
        "a Triton hangs (SIGSTOP), or the link to it drops packets without a word",
        "no request fails; at most one step timeout is added; it is out of service within 2 s, and is used again",
    ),
    "rollout": Promise("rolling restart of every Triton and every orchestrator at load", "no request fails in the SDK"),
    "overload": Promise(
        "three times as many requests as can be served",
        "goodput stays at 90 % of the peak; refusals come within 50 ms (p99) and say when to come back",
    ),
    "memory": Promise(
        "many large pictures at once", "memory stays within its budget, from which a pod's limit is computed"
    ),
    "local-restart": Promise(
        "a process of the local cluster dies, or crashes while it starts",
        "it is started again; after several deaths in a row the launcher gives up in words",
    ),
    "cancels": Promise(
        "a caller cancels, closes its connection, or its deadline passes",
        "at most the step that ran is computed; nothing of the caller stays",
    ),
    "redis": Promise(
        "Redis is down, stopped, slow, cut off, out of memory or full of garbage",
        "no request fails; at most 20 ms are added at the median; Redis is used again afterwards",
    ),
    "campaign": Promise(
        "orchestrators, or the campaign's own process, are killed while a campaign of many requests runs",
        "the campaign finishes elsewhere, or in its next run; nothing is lost, nothing is made twice",
    ),
    "same-question": Promise("the same conditioning a thousand times at once", "one computation in an orchestrator"),
    "slow-reader": Promise("a caller that reads its stream slowly", "bounded memory, then RESOURCE_EXHAUSTED"),
    "bad-model": Promise(
        "a missing or broken model file, a wrong shape or digest", "never ready; the log names file and reason"
    ),
    "bad-output": Promise("a model answers NaN or another shape", "INTERNAL, no picture, and the replica is suspected"),
    "full-disk": Promise("the disk under the log, or /dev/shm, is full", "no request fails"),
    "clock": Promise("the wall clock jumps by days while requests run", "no request fails"),
}
