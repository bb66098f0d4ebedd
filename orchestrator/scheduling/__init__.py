"""Which request is served next, and which calls go to a model together.

Requests that wait to run and the model calls of those that run are queued by the same fair rules; calls leave in
batches of many requests.
"""

from backdrop.contract.parts import Priority
from orchestrator.scheduling.batcher import Batcher, Ticket
from orchestrator.scheduling.fair_queue import FairQueue
from orchestrator.scheduling.model_queue import Capacity
from orchestrator.scheduling.request import ScheduledRequest

__all__ = ["Batcher", "Capacity", "FairQueue", "Priority", "ScheduledRequest", "Ticket"]
