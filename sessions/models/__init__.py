"""What happens, one file a concern."""

from sessions.models.core import STATUSES, Event, File, Resource, Session, Thread

__all__ = [
    "STATUSES",
    "Event",
    "File",
    "Resource",
    "Session",
    "Thread",
]
