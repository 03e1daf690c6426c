"""Telling people that a call waits, by mail and webhook. Rows first: what is lost on the way is sent by the sweep.

A notice says who asks for which tool, why, where the call leads, with which credential by name, and what was spent.
It holds nothing of the call's input and of what was said: either may be what the receiver must not see.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import time
from dataclasses import dataclass
from datetime import timedelta
from smtplib import SMTPException
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.utils import timezone
from kombu.exceptions import OperationalError

from agents import policies, rules
from contract.times import timestamp
from credentials import crypto
from credentials.dialling import AddressRefused, Line, Unreachable
from sessions.approvals.facts import facts
from sessions.models.approvals import WAITING, Approval, Notice, NoticeTarget

if TYPE_CHECKING:
    from collections.abc import Sequence

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 6
FIRST_PAUSE = timedelta(seconds=10)  # doubles
CLAIM = timedelta(seconds=60)
SEND_SECONDS = 15.0
BATCH = 50
SIGNATURE = "X-Holdfast-Signature"


@dataclass(frozen=True, slots=True)
class Message:
    """One notice in both forms: ``subject`` and ``text`` as mail, ``body`` as JSON."""

    subject: str
    text: str
    body: dict[str, Any]


TRIAL = Message(
    "A trial of Holdfast's notices",
    "This address is told when an agent's call waits for a person. Nothing waits now: somebody tried it.\n",
    {"type": "notice_target.trial"},
)


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
    failure = attempt(notice.target, message(notice.approval))
    attempts = notice.attempts + 1
    again = failure and attempts < MAX_ATTEMPTS
    Notice.objects.filter(pk=notice_id).update(
        attempts=attempts,
        next_at=timezone.now() + FIRST_PAUSE * 2**notice.attempts if again else None,
        sent_at=None if failure else timezone.now(),
    )
    NoticeTarget.objects.filter(pk=notice.target_id).update(last_error=failure[:300])


def attempt(target: NoticeTarget, told: Message) -> str:
    """Send a message to a target; what went wrong, "" if nothing."""
    try:
        return _mail(target, told) if target.kind == "mail" else _post(target, told)
    except AddressRefused as error:
        return f"Its host stands for {error}, which is not public; ALLOW_NETWORKS can permit it."
    except (SMTPException, OSError, Unreachable, crypto.CannotOpen) as error:
        logger.warning("A notice to target %s failed: %s", target.pk, type(error).__name__)
        return f"{type(error).__name__}: {error}"


def link(approval: Approval) -> str:
    return f"{settings.HOLDFAST_PUBLIC_URL}/approvals/{approval.pk}/"


def message(approval: Approval) -> Message:
    """What is told of a call that waits."""
    session, about = approval.session, facts([approval], before=False)[approval.pk]
    rule = approval.why.get("rule")
    reason = policies.reason(approval.tool, {**approval.why, "reason": ""})  # a judge's words may quote the call
    body: dict[str, Any] = {
        "type": "approval.waiting",
        "approval_id": approval.pk,
        "workspace_id": approval.workspace_id,
        "session_id": approval.session_id,
        "agent": approval.agent.name,
        "tool": approval.tool,
        "mcp_server_name": approval.mcp_server or None,
        "asked_because": reason,
        "rule": rules.words(rule) if rule else None,
        "hosts": list(about.hosts),
        "credentials": [lent.shape() for lent in about.credentials],
        "spent": f"{session.cost:f}" if session.cost_known else None,
        "left": f"{about.left:f}" if about.left is not None else None,
        "asked_at": timestamp(approval.asked_at),
        "expires_at": timestamp(approval.expires_at) if approval.expires_at else None,
        "url": link(approval),
    }
    subject = " ".join(f"{approval.agent.name} asks: may it use {approval.tool}?".split())  # mail takes no line breaks
    return Message(subject, _text(approval, body), body)


def _text(approval: Approval, body: dict[str, Any]) -> str:
    spent = "unknown" if body["spent"] is None else f"${approval.session.cost:.4f}"
    left = f", ${float(body['left']):.4f} left" if body["left"] is not None else ""
    lines = {
        "Session": approval.session.title or "Untitled session",
        "Why": body["asked_because"],
        "Rule": body["rule"],
        "MCP server": body["mcp_server_name"],
        "Reaches": ", ".join(body["hosts"]),
        "Uses": ", ".join(lent["name"] for lent in body["credentials"]),
        "Spent": spent + left,
        "Asked at": body["asked_at"],
        "Expires at": body["expires_at"],
    }
    told = "\n".join(f"{name}: {value}" for name, value in lines.items() if value)
    return f"{told}\n\nDecide here: {body['url']}\n"


def _mail(target: NoticeTarget, told: Message) -> str:
    EmailMessage(told.subject, told.text, settings.DEFAULT_FROM_EMAIL, [target.address]).send()
    return ""


def _post(target: NoticeTarget, told: Message) -> str:
    data = json.dumps(told.body, separators=(",", ":")).encode()
    stamp = str(int(time.time()))
    key = crypto.unseal(bytes(target.sealed_key), target.pk).reveal()
    headers = {"Content-Type": "application/json", SIGNATURE: f"t={stamp},v1={signature(key, stamp, data)}"}
    with Line(SEND_SECONDS) as line:
        reply = line.send("POST", target.address, headers, data)
    return "" if 200 <= reply.status < 300 else f"The server answered {reply.status}."


def signature(key: str, stamp: str, data: bytes) -> str:
    """HMAC-SHA256 over the time and the body, in hexadecimal."""
    return hmac.new(key.encode(), stamp.encode() + b"." + data, hashlib.sha256).hexdigest()
