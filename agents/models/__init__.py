"""What an operator writes down, one file a concern."""

from agents.models.core import Agent, AgentVersion, Environment, Membership, Workspace

__all__ = ["Agent", "AgentVersion", "Environment", "Membership", "Workspace"]
