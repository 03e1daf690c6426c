"""Who is told that calls wait: mail addresses and signed webhooks of a workspace. Every change is on the audit log."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator
from django.db import transaction

from agents.models import Workspace
from contract import audit
from contract.errors import InvalidRequest, NotFound
from contract.roles import Permission
from contract.secret import Secret
from credentials import crypto, matching
from sessions.approvals import notices
from sessions.models.approvals import NoticeTarget

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from contract.acting import Acting

MAX_TARGETS = 20
NO_MAIL = "kind: mail needs SMTP_HOST and MAIL_FROM in the installation's settings"


def targets_of(acting: Acting) -> QuerySet[NoticeTarget]:
    acting.require(Permission.ADMINISTER)
    return NoticeTarget.objects.filter(workspace_id=acting.workspace_id)


def find_target(target_id: str, acting: Acting) -> NoticeTarget:
    found = targets_of(acting).filter(pk=target_id).first()
    if found is None:
        raise NotFound(f"There is no target {target_id} for notices in this workspace.")
    return found


@audit.logged("notice_target.created", "agent_sessions.NoticeTarget")
def add_target(kind: str, address: str, acting: Acting) -> tuple[NoticeTarget, str]:
    """A new target, and the key that its POSTs are signed with ("" for mail); the key can't be had again."""
    acting.require(Permission.ADMINISTER)
    _check(kind, address)
    target = NoticeTarget(workspace_id=acting.workspace_id, kind=kind, address=address)
    key = secrets.token_urlsafe(32) if kind == "webhook" else ""
    if key:
        target.sealed_key = crypto.seal(Secret(key), target.pk)
    with transaction.atomic():
        Workspace.hold(acting.workspace_id)
        if targets_of(acting).count() >= MAX_TARGETS:
            raise InvalidRequest(f"A workspace has at most {MAX_TARGETS} targets for notices.")
        target.save(force_insert=True)
    return target, key


@audit.logged("notice_target.updated", "agent_sessions.NoticeTarget", "target_id")
def change_target(target_id: str, address: str, acting: Acting) -> NoticeTarget:
    """Another address; the kind and the signing key stay."""
    target = find_target(target_id, acting)
    _check(target.kind, address)
    target.address, target.last_error = address, ""
    target.save(update_fields=["address", "last_error"])
    return target


@audit.logged("notice_target.deleted", "agent_sessions.NoticeTarget", "target_id")
def remove_target(target_id: str, acting: Acting) -> None:
    find_target(target_id, acting).delete()


def try_target(target_id: str, acting: Acting) -> NoticeTarget:
    """Send a trial message now; ``last_error`` says how that went, "" for well."""
    target = find_target(target_id, acting)
    target.last_error = notices.attempt(target, notices.TRIAL)[:300]
    NoticeTarget.objects.filter(pk=target.pk).update(last_error=target.last_error)
    went = {"address": target.address, "last_error": target.last_error}
    audit.record(acting, "notice_target.tried", "agent_sessions.NoticeTarget", target.pk, after=went)
    return target


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
