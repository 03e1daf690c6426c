"""Telling people that a call waits, by mail and webhook. Rows first: what is lost on the way is sent by the sweep."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import secrets
import time
from datetime import timedelta
from smtplib import SMTPException
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.core.validators import EmailValidator
from django.utils import timezone
from kombu.exceptions import OperationalError

from contract import audit
from contract.errors import InvalidRequest, NotFound
from contract.roles import Permission
from contract.secret import Secret
from contract.times import timestamp
from credentials import crypto, matching
from credentials.dialling import AddressRefused, Line, Unreachable
from sessions.models.approvals import WAITING, Approval, Notice, NoticeTarget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contract.acting import Acting

logger = logging.getLogger(__name__)

MAX_TARGETS = 20
MAX_ATTEMPTS = 6
FIRST_PAUSE = timedelta(seconds=10)  # doubles
CLAIM = timedelta(seconds=60)
SEND_SECONDS = 15.0
BATCH = 50
SIGNATURE = "X-Holdfast-Signature"
NO_MAIL = "kind: mail needs SMTP_HOST and MAIL_FROM in the installation's settings"


@audit.logged("notice_target.created", "agent_sessions.NoticeTarget")
def add_target(kind: str, address: str, acting: Acting) -> tuple[NoticeTarget, str]:
    """A new target, and the key that its POSTs are signed with ("" for mail); the key can't be had again."""
    acting.require(Permission.ADMINISTER)
    _check(kind, address)
    if NoticeTarget.objects.filter(workspace_id=acting.workspace_id).count() >= MAX_TARGETS:
        raise InvalidRequest(f"A workspace has at most {MAX_TARGETS} targets for notices.")
    target = NoticeTarget(workspace_id=acting.workspace_id, kind=kind, address=address)
    key = secrets.token_urlsafe(32) if kind == "webhook" else ""
    if key:
        target.sealed_key = crypto.seal(Secret(key), target.pk)
    target.save()
    return target, key


def _check(kind: str, address: str) -> None:
    if kind == "mail":
        if not settings.EMAIL_HOST:
            raise InvalidRequest(NO_MAIL)
        try:
            EmailValidator()(address)
        except ValidationError:
            raise InvalidRequest("address: is not a mail address") from None
    else:
        try:
            matching.split(address)
        except matching.BadUrl as error:
            raise InvalidRequest(f"address: {error}") from None


@audit.logged("notice_target.deleted", "agent_sessions.NoticeTarget", "target_id")
def remove_target(target_id: str, acting: Acting) -> None:
    acting.require(Permission.ADMINISTER)
    count, _ = NoticeTarget.objects.filter(pk=target_id, workspace_id=acting.workspace_id).delete()
    if not count:
        raise NotFound(f"There is no target {target_id} for notices in this workspace.")


def announce(asked: Sequence[Approval]) -> None:
    """Note, in the transaction that asks, whom to tell."""
    targets = list(NoticeTarget.objects.filter(workspace_id=asked[0].workspace_id).values_list("pk", flat=True))
    now = timezone.now()
    Notice.objects.bulk_create(
        Notice(target_id=target, approval=approval, next_at=now) for approval in asked for target in targets
    )


def send_due() -> None:
    """Hand what is due to the workers. Called by the sweep."""
    from sessions.tasks import send_notice

    due = list(Notice.objects.filter(next_at__lte=timezone.now()).values_list("pk", flat=True)[:BATCH])
    if not due:
        return
    Notice.objects.filter(pk__in=due).update(next_at=timezone.now() + CLAIM)
    for notice_id in due:
        try:
            send_notice.delay(notice_id)
        except (OperationalError, OSError) as error:
            logger.warning("The broker took no notice (%s); it is sent later.", type(error).__name__)
            return


def send(notice_id: int) -> None:
    """Try once; a failure sets the next try, the last one gives up. What was answered meanwhile isn't told."""
    notice = (
        Notice.objects.select_related("target", "approval__session", "approval__agent").filter(pk=notice_id).first()
    )
    if notice is None or notice.next_at is None:
        return
    if notice.approval.state != WAITING:
        Notice.objects.filter(pk=notice_id).update(next_at=None)
        return
    failure = _try(notice)
    attempts = notice.attempts + 1
    again = failure and attempts < MAX_ATTEMPTS
    Notice.objects.filter(pk=notice_id).update(
        attempts=attempts,
        next_at=timezone.now() + FIRST_PAUSE * 2**notice.attempts if again else None,
        sent_at=None if failure else timezone.now(),
    )
    NoticeTarget.objects.filter(pk=notice.target_id).update(last_error=failure[:300])


def _try(notice: Notice) -> str:
    """Send; what went wrong, "" if nothing."""
    try:
        return _mail(notice) if notice.target.kind == "mail" else _post(notice)
    except (SMTPException, OSError, Unreachable, AddressRefused, crypto.CannotOpen) as error:
        logger.warning("A notice to target %s failed: %s", notice.target_id, type(error).__name__)
        return f"{type(error).__name__}: {error}"


def link(approval: Approval) -> str:
    return f"{settings.HOLDFAST_PUBLIC_URL}/approvals/{approval.pk}/"


def _mail(notice: Notice) -> str:
    approval = notice.approval
    title = approval.session.title or "Untitled session"
    subject = f"{approval.agent.name} asks: may it use {approval.tool}?".replace("\n", " ")
    text = f"Session: {title}\nAsked at: {timestamp(approval.asked_at)}\n\nDecide here: {link(approval)}\n"
    EmailMessage(subject, text, settings.DEFAULT_FROM_EMAIL, [notice.target.address]).send()
    return ""


def _post(notice: Notice) -> str:
    """A POST without the call's input: that may hold what the receiver must not see."""
    approval = notice.approval
    body: dict[str, Any] = {
        "type": "approval.waiting",
        "approval_id": approval.pk,
        "workspace_id": approval.workspace_id,
        "session_id": approval.session_id,
        "agent": approval.agent.name,
        "tool": approval.tool,
        "asked_at": timestamp(approval.asked_at),
        "url": link(approval),
    }
    data = json.dumps(body, separators=(",", ":")).encode()
    stamp = str(int(time.time()))
    key = crypto.unseal(bytes(notice.target.sealed_key), notice.target.pk).reveal()
    headers = {"Content-Type": "application/json", SIGNATURE: f"t={stamp},v1={signature(key, stamp, data)}"}
    with Line(SEND_SECONDS) as line:
        reply = line.send("POST", notice.target.address, headers, data)
    return "" if 200 <= reply.status < 300 else f"The server answered {reply.status}."


def signature(key: str, stamp: str, data: bytes) -> str:
    """HMAC-SHA256 over the time and the body, in hexadecimal."""
    return hmac.new(key.encode(), stamp.encode() + b"." + data, hashlib.sha256).hexdigest()
