"""The cost of a batch on an emulated engine, and the two shapes of cost that are measured."""

from __future__ import annotations

from dataclasses import dataclass

from bench.triton_statistics import Work


@dataclass(frozen=True)
class Cost:
    """A batch takes `base_ms` + `row_ms` · rows, in milliseconds."""

    base_ms: float
    row_ms: float

    def seconds(self, rows: int) -> float:
        """Of a batch of so many rows."""
        return (self.base_ms + self.row_ms * rows) / 1000

    def busy_s(self, work: Work) -> float:
        """Seconds in which the device computed; Triton's own time of an execution includes waiting for the device."""
        return (self.base_ms * work.executions + self.row_ms * work.rows) / 1000


# A guided step is 44.8 ms in both: the best published figure for SDXL at 1024² with TensorRT. The shapes differ in how
# much of it a second request shares: at 1024² two rows fill a GPU, at few-step models' sizes they do not.
COSTS = {"near-linear": Cost(4.8, 20.0), "sub-linear": Cost(39.8, 2.5)}
# Encoders, VAE and reward, each; small compared with a picture's steps, as on a GPU.
OTHERS = Cost(5.0, 0.0)
