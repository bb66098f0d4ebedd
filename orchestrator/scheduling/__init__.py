"""Who is next, and with whom.

One order for requests that wait to run and for the rows of those that run; rows leave in batches of many requests.
"""

from backdrop.contract.parts import Priority
from orchestrator.scheduling.batcher import Batcher, Ticket
from orchestrator.scheduling.engine import Capacity
from orchestrator.scheduling.fair_queue import FairQueue
from orchestrator.scheduling.order import Applicant

__all__ = ["Applicant", "Batcher", "Capacity", "FairQueue", "Priority", "Ticket"]
