"""Who is next: fair order between classes, tenants and requests, and the turns that every model call waits for."""

from orchestrator.scheduling.fair_queue import FairQueue
from orchestrator.scheduling.order import Applicant, Priority
from orchestrator.scheduling.turns import Ticket, Turns

__all__ = ["Applicant", "FairQueue", "Priority", "Ticket", "Turns"]
