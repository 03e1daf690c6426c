"""The page of limits: what is in force and used, who waits, changing them; and the admin, which wakes as fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse

from agents.models import Workspace
from sessions.harness.limits import Reached
from sessions.models import Session

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from tests.web.conftest import World

    Committed = Callable[..., AbstractContextManager[Any]]


def stopped(world: World, cap: str = "steps") -> None:
    """The world's session stands at a cap of its workspace."""
    note = Reached(cap, "workspace", 1, 1).note()
    Workspace.objects.filter(pk=world.session.workspace_id).update(limits={cap: 1})
    world.append(world.running())
    world.append(world.idle({"type": "budget_reached", "holdfast": note}))


def test_the_page_tells_the_limits_and_what_waits(world: World) -> None:
    world.append(world.running())
    Workspace.objects.filter(pk=world.session.workspace_id).update(
        limits={"concurrent_sessions": 1, "list_cost_per_day": {"amount": "250", "currency": "USD"}}
    )
    page = world.alice.get("/limits/").content.decode()
    assert "$2.50" in page
    assert "number 1 of those that wait" in page
    assert 'aria-label="0 % used"' in page


def test_an_admin_changes_them_and_what_stopped_goes_on_at_once(
    world: World, django_capture_on_commit_callbacks: Committed
) -> None:
    stopped(world)
    address = reverse("sessions:limits_edit")
    shown = world.alice.get("/limits/").content.decode()
    assert "1 at the workspace's limit of steps" in shown
    wrong = world.alice.post(address, {"steps": "-1"})
    assert wrong.status_code == 422
    sent = {"steps": "", "list_cost_per_day": "12.50", "storage_bytes": "20"}
    with django_capture_on_commit_callbacks(execute=True):
        world.alice.post(address, sent)
    assert Workspace.objects.get(pk=world.session.workspace_id).limits == {
        "list_cost_per_day": {"amount": "1250", "currency": "USD"},
        "storage_bytes": 20_000_000,
    }
    assert world.fresh().status == "running"


def test_what_is_not_touched_is_not_rounded(world: World) -> None:
    Workspace.objects.filter(pk=world.session.workspace_id).update(limits={"storage_bytes": 1_500_001})
    world.alice.post(reverse("sessions:limits_edit"), {"storage_bytes": "2", "tokens": "5"})
    assert Workspace.objects.get(pk=world.session.workspace_id).limits == {"storage_bytes": 1_500_001, "tokens": 5}


@pytest.mark.parametrize("cap", ["steps", "tokens_per_day"])
def test_the_admin_wakes_what_stopped_as_the_page_does(
    world: World, cap: str, django_capture_on_commit_callbacks: Committed
) -> None:
    stopped(world, cap)
    root = get_user_model().objects.create_superuser("root", password="root")
    browser = Client()
    browser.force_login(root)
    workspace = Workspace.objects.get(pk=world.session.workspace_id)
    members: dict[str, Any] = {"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"}
    address = reverse("admin:agents_workspace_change", args=[workspace.pk])
    with django_capture_on_commit_callbacks(execute=True):
        answer = browser.post(address, {"name": workspace.name, "limits": "{}", **members})
    assert answer.status_code == 302
    assert Session.objects.get(pk=world.session.pk).status == "running"
