"""What an operator writes down, one file a concern."""

from agents.models.core import Agent, AgentVersion, Environment, Membership, Workspace
from agents.models.memory import Memory, MemoryStore, MemoryVersion
from agents.models.profiles import UserProfile
from agents.models.skills import Skill, SkillVersion

__all__ = [
    "Agent",
    "AgentVersion",
    "Environment",
    "Membership",
    "Memory",
    "MemoryStore",
    "MemoryVersion",
    "Skill",
    "SkillVersion",
    "UserProfile",
    "Workspace",
]
