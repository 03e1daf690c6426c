"""`manage.py seed`: a workspace, an administrator, an API key, an environment and a demo agent, each made once.

The sign-in goes to `dev.json` in the data directory, mode 0600. Without that file (first run, or removed since) a new
password and key are made; nothing else is ever changed.
"""

from __future__ import annotations

import json
import os
import secrets
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand
from django.db import transaction

from agents.actions import create_agent, create_environment
from agents.models import AgentVersion, Environment, Membership, Workspace
from config.env import DEMO_MODEL
from contract.acting import Acting
from contract.roles import Role
from credentials.actions import issue_api_key

if TYPE_CHECKING:
    from pathlib import Path

    from django.contrib.auth.models import User

USERNAME = "admin"
WORKSPACE = "Default"
ENVIRONMENT = "Default"
SYSTEM = "You work in a sandbox. Do what is asked with the tools you have, then say what you did."
TOOLS = [{"type": "agent_toolset_20260401"}]


class Command(BaseCommand):
    help = "Make what a new installation starts with, once."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        path = settings.HOLDFAST_DATA_DIR / "dev.json"
        with transaction.atomic():
            workspace = first_workspace()
            user = administrator(workspace)
            something_to_start(Acting(workspace.pk, Role.ADMIN, "Set-up", user_id=user.pk))
            if not path.exists():
                write_sign_in(path, workspace, user)


def first_workspace() -> Workspace:
    """The oldest workspace, so that renaming it makes no second one."""
    return Workspace.objects.order_by("created_at").first() or Workspace.objects.create(name=WORKSPACE)


def administrator(workspace: Workspace) -> User:
    users = get_user_model().objects
    user = users.filter(is_superuser=True).order_by("pk").first() or users.create_superuser(USERNAME)
    Membership.objects.get_or_create(workspace=workspace, user=user, defaults={"role": Role.ADMIN.value})
    return user


def something_to_start(acting: Acting) -> None:
    """An environment, an agent on the demo model, and one on the configured model where that is another."""
    if not Environment.objects.filter(workspace_id=acting.workspace_id).exists():
        create_environment({"name": ENVIRONMENT, "description": "A sandbox that may reach any public host."}, acting)
    demo = {"description": "Follows rules, no AI: works without a key. Try: write notes.txt with `hello`, run `ls`."}
    first_agent({"name": "Demo", "model": DEMO_MODEL, **demo}, acting)
    if settings.HOLDFAST_MODEL_DEFAULT != DEMO_MODEL:
        first_agent({"name": "Assistant", "model": settings.HOLDFAST_MODEL_DEFAULT}, acting)


def first_agent(body: dict[str, Any], acting: Acting) -> None:
    """Make an agent unless one was ever called so: renamed or archived, it does not come back."""
    known = AgentVersion.objects.filter(agent__workspace_id=acting.workspace_id, spec__name=body["name"])
    if not known.exists():
        create_agent({"system": SYSTEM, "tools": TOOLS, **body}, acting)


def write_sign_in(path: Path, workspace: Workspace, user: User) -> None:
    """New password and key into a file that is whole or not there."""
    password = secrets.token_urlsafe(12)
    user.set_password(password)
    user.save(update_fields=["password"])
    _, api_key = issue_api_key(workspace=workspace, name="Made at the start", role=Role.ADMIN, created_by=user)
    found = {
        "url": settings.HOLDFAST_PUBLIC_URL,
        "username": user.get_username(),
        "password": password,
        "api_key": api_key,
    }
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(json.dumps(found, indent=2) + "\n")
    draft.replace(path)
