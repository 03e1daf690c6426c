"""What an operator writes down: workspaces, members, agents with immutable versions, environments."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from contract import ids
from contract.roles import LABELS, Role

ROLE_CHOICES = [(role.value, LABELS[role]) for role in Role]


class Workspace(models.Model):
    """The border of access: every object belongs to one workspace, every key acts in one."""

    id = models.CharField(primary_key=True, max_length=40, default=ids.workspace_id, editable=False)
    name = models.CharField(max_length=256, unique=True)
    limits = models.JSONField(default=dict, blank=True)  # caps of each session: contract.limits
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    @classmethod
    def hold(cls, workspace_id: str) -> None:
        """One at a time until the transaction ends: what is counted then is what there is when one more is added."""
        cls._default_manager.select_for_update(no_key=True).get(pk=workspace_id)


class Membership(models.Model):
    """A person's role in a workspace."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=ROLE_CHOICES, default=Role.OPERATOR.value)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "user"], name="one_role_per_member")]

    def __str__(self) -> str:
        return f"{self.user} is {self.role} in {self.workspace}"


class Agent(models.Model):
    """A named, versioned configuration (spec core 4). The latest version's values live in ``versions``.

    ``name`` and ``version`` repeat the latest version's, for lists and look-ups.
    """

    id = models.CharField(primary_key=True, max_length=40, default=ids.agent_id, editable=False)
    workspace = models.ForeignKey(Workspace, models.PROTECT, related_name="agents")
    name = models.CharField(max_length=256)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    archived_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at", "-id")
        indexes = [models.Index(fields=["workspace", "-created_at", "-id"], name="agent_list")]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"


class AgentVersion(models.Model):
    """One immutable version. ``spec`` holds the resolved wire fields of spec core 4.1: name,
    description, model, system, tools, mcp_servers, skills, multiagent, execution_identity, metadata;
    and ``holdfast`` (``agents.additions``) if the agent has any of it.
    """

    agent = models.ForeignKey(Agent, models.CASCADE, related_name="versions")
    version = models.PositiveIntegerField()
    spec = models.JSONField()
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ("-version",)
        constraints = [models.UniqueConstraint(fields=["agent", "version"], name="one_row_per_version")]

    def __str__(self) -> str:
        return f"{self.agent_id} v{self.version}"


class Environment(models.Model):
    """The template of a sandbox (spec core 7). ``config`` is the resolved wire config."""

    id = models.CharField(primary_key=True, max_length=40, default=ids.environment_id, editable=False)
    workspace = models.ForeignKey(Workspace, models.PROTECT, related_name="environments")
    name = models.CharField(max_length=256)
    description = models.TextField(null=True, blank=True)  # noqa: DJ001  null and "" differ on the wire
    config = models.JSONField()
    metadata = models.JSONField(default=dict, blank=True)
    scope = models.CharField(max_length=16, default="organization")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    archived_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at", "-id")
        constraints = [models.UniqueConstraint(fields=["workspace", "name"], name="environment_name_in_workspace")]

    def __str__(self) -> str:
        return self.name
