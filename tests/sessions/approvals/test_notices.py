"""Telling people by webhook and mail that a call waits: signed, a bounded number of times, never to inner addresses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from django.core import mail
from django.utils import timezone

from contract.acting import Acting
from contract.roles import Role
from credentials import dialling
from sessions.approvals import actions, notices, targets
from sessions.models import Notice, NoticeTarget

if TYPE_CHECKING:
    from tests.sessions.approvals.conftest import Desk


def admin(desk: Desk) -> Acting:
    return Acting(desk.workspace.pk, Role.ADMIN, "root")


class Server:
    """Answers every POST with a status, or fails as the dialler does."""

    def __init__(self, answer: int | Exception) -> None:
        self.answer, self.got = answer, list[tuple[str, dict[str, str], bytes]]()

    def send(self, line: Any, method: str, url: str, headers: dict[str, str], body: bytes = b"") -> dialling.Reply:
        self.got.append((url, headers, body))
        if isinstance(self.answer, Exception):
            raise self.answer
        return dialling.Reply(self.answer, {}, b"", cut=False)


def serve(monkeypatch: pytest.MonkeyPatch, answer: int | Exception) -> Server:
    server = Server(answer)
    monkeypatch.setattr(dialling.Line, "send", lambda line, *sent: server.send(line, *sent))
    return server


def test_a_webhook_gets_a_signed_post_without_the_input(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(monkeypatch, 204)
    _, key = targets.add_target("webhook", "https://example.com/hook", admin(desk))
    (approval,) = desk.asks("echo s3cr3t-argument")
    notice = Notice.objects.get()
    notices.send(notice.pk)
    ((url, headers, body),) = server.got
    told = json.loads(body)
    assert (url, told["approval_id"], told["tool"]) == ("https://example.com/hook", approval.pk, "bash")
    assert told["url"].endswith(f"/approvals/{approval.pk}/")
    assert b"s3cr3t-argument" not in body
    stamp, sign = headers[notices.SIGNATURE].removeprefix("t=").split(",v1=")
    assert sign == notices.signature(key, stamp, body)
    notices.send(notice.pk)
    assert len(server.got) == 1


@pytest.mark.parametrize("answer", [500, dialling.Unreachable("TimeoutException"), dialling.AddressRefused("10.0.0.1")])
def test_a_failure_is_tried_again_a_bounded_number_of_times(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, answer: int | Exception
) -> None:
    server = serve(monkeypatch, answer)
    targets.add_target("webhook", "https://example.com/hook", admin(desk))
    desk.asks("make")
    for _ in range(notices.MAX_ATTEMPTS + 3):
        notices.send(Notice.objects.get().pk)
    assert len(server.got) == notices.MAX_ATTEMPTS
    assert Notice.objects.get().next_at is None
    assert NoticeTarget.objects.get().last_error


def test_an_inner_address_is_not_dialled(desk: Desk, settings: Any) -> None:
    settings.HOLDFAST_ALLOWED_NETWORKS = ()
    targets.add_target("webhook", "http://127.0.0.1:9/hook", admin(desk))
    desk.asks("make")
    notices.send(Notice.objects.get().pk)
    assert NoticeTarget.objects.get().last_error.endswith("ALLOW_NETWORKS can permit it.")


def test_what_was_answered_meanwhile_is_not_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(monkeypatch, 200)
    targets.add_target("webhook", "https://example.com/hook", admin(desk))
    (approval,) = desk.asks("make")
    actions.decide(approval.pk, {"result": "allow"}, desk.ben, via="page")
    notices.send(Notice.objects.get().pk)
    assert server.got == []
    assert Notice.objects.get().next_at is None


def test_mail_says_where_to_decide(desk: Desk, settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example.com"
    settings.DEFAULT_FROM_EMAIL = "holdfast@example.com"
    targets.add_target("mail", "ops@example.com", admin(desk))
    (approval,) = desk.asks("make")
    notices.send(Notice.objects.get().pk)
    (sent,) = mail.outbox
    assert (sent.to, sent.from_email) == (["ops@example.com"], "holdfast@example.com")
    assert f"/approvals/{approval.pk}/" in sent.body


def test_the_sweep_hands_due_notices_to_the_workers_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from sessions import tasks

    queued: list[int] = []
    monkeypatch.setattr(tasks.send_notice, "delay", queued.append)
    targets.add_target("webhook", "https://example.com/hook", admin(desk))
    desk.asks("make")
    notices.send_due()
    notices.send_due()
    assert queued == [Notice.objects.get().pk]
    Notice.objects.update(next_at=timezone.now())
    notices.send_due()
    assert len(queued) == 2
