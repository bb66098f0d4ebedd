"""Workers: processes that split each batch and average their gradients.

On a machine with few cores, several one-thread workers are faster than one worker with several threads, because they
wait for each other once a step instead of once a layer:
`python -m torch.distributed.run --nproc-per-node 2 -m training.denoisers.base`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist


@dataclass(frozen=True)
class Worker:
    """This process among the workers of a run."""

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process logs and writes checkpoints."""
        return self.rank == 0

    def average_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """One all-reduce over all gradients."""
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        for gradient, part in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient) / self.count)


def join() -> Worker:
    """Joins the group that torch.distributed.run started; a single worker if it did not start one."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Worker()
    if not dist.is_initialized():
        dist.init_process_group("gloo")
    return Worker(dist.get_rank(), dist.get_world_size())
