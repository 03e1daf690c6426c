"""The pages of who is told that calls wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core import mail

from credentials.models import AuditRecord
from sessions.models import NoticeTarget

if TYPE_CHECKING:
    from tests.web.conftest import World

NEW = "/approvals/notices/new/"


def test_a_webhook_target_is_made_and_its_key_shown_once(world: World) -> None:
    shown = world.alice.post(NEW, {"kind": "webhook", "address": "https://hooks.example/calls"}).content.decode()
    assert "It can&#x27;t be shown again" in shown or "It can't be shown again" in shown
    listed = world.alice.get("/approvals/notices/").content.decode()
    assert "https://hooks.example/calls" in listed
    assert 'id="secret"' in shown
    assert 'id="secret"' not in listed


def test_a_mail_target_is_tried_and_removed(world: World, settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example"
    world.alice.post(NEW, {"kind": "mail", "address": "ops@example.com"})
    target = NoticeTarget.objects.get(kind="mail")
    shown = world.alice.post(f"/approvals/notices/{target.pk}/test/", follow=True).content.decode()
    assert "The trial was sent to ops@example.com." in shown
    assert [sent.to for sent in mail.outbox] == [["ops@example.com"]]
    world.alice.post(f"/approvals/notices/{target.pk}/delete/")
    assert not NoticeTarget.objects.filter(pk=target.pk).exists()
    actions = list(AuditRecord.objects.filter(object_id=target.pk).order_by("pk").values_list("action", flat=True))
    assert actions == ["notice_target.created", "notice_target.tried", "notice_target.deleted"]


def test_a_trial_that_fails_says_why_and_the_list_keeps_it(world: World) -> None:
    shown = world.alice.post(f"/approvals/notices/{world.notice.pk}/test/", follow=True).content.decode()
    assert "The trial failed." in shown
    world.notice.refresh_from_db()
    assert "not public" in world.notice.last_error
    assert "not public" in world.alice.get("/approvals/notices/").content.decode()


def test_what_can_not_work_is_refused_at_its_field(world: World) -> None:
    response = world.alice.post(NEW, {"kind": "mail", "address": "ops@example.com"})
    assert response.status_code == 422
    assert "SMTP_HOST" in response.content.decode()
    path = f"/approvals/notices/{world.notice.pk}/edit/"
    assert world.alice.post(path, {"address": "ftp://x"}).status_code == 422
    world.alice.post(path, {"address": "https://hooks.example/other"})
    world.notice.refresh_from_db()
    assert world.notice.address == "https://hooks.example/other"
