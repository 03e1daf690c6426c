"""What an operator writes down, one file a concern."""

from agents.models.core import Agent, AgentVersion, Environment, Membership, Workspace
from agents.models.memory import Memory, MemoryStore, MemoryVersion
from agents.models.profiles import UserProfile

__all__ = [
    "Agent",
    "AgentVersion",
    "Environment",
    "Membership",
    "Memory",
    "MemoryStore",
    "MemoryVersion",
    "UserProfile",
    "Workspace",
]
