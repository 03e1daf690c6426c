"""Calls that wait, or waited, for a person's decision: the inbox of all sessions."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_noop as _

from contract import ids
from credentials.at_rest import SealableJSON

WAITING, ALLOWED, DENIED, EXPIRED, CLOSED = "waiting", "allowed", "denied", "expired", "closed"
STATES = {
    WAITING: _("Waiting"),
    ALLOWED: _("Approved"),
    DENIED: _("Denied"),
    EXPIRED: _("Expired"),
    CLOSED: _("Closed"),  # the turn or the session ended before anybody answered
}


class Approval(models.Model):
    """One call that was asked about. ``id`` is the call's event.

    *Projected* from the log, by ``sessions.approvals.book`` in the transaction that appends: the call, its
    rule, and who decided what. ``assigned_to`` repeats the last ``ops.approval_assigned``.
    """

    id = models.CharField(primary_key=True, max_length=40)
    workspace = models.ForeignKey("agents.Workspace", models.CASCADE, related_name="approvals")
    session = models.ForeignKey("agent_sessions.Session", models.CASCADE, related_name="approvals")
    thread = models.ForeignKey("agent_sessions.Thread", models.CASCADE, related_name="approvals")
    agent = models.ForeignKey("agents.Agent", models.CASCADE, related_name="approvals")
    seq = models.BigIntegerField()
    tool = models.CharField(max_length=256)
    mcp_server = models.CharField(max_length=256, blank=True, default="")
    why = models.JSONField(default=dict)  # agents.policies.Verdict.why
    asked_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    on_expiry = models.CharField(max_length=16, blank=True, default="")

    state = models.CharField(max_length=16, choices=list(STATES.items()), default=WAITING)
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    decided_label = models.CharField(max_length=300, blank=True, default="")
    via = models.CharField(max_length=16, blank=True, default="")  # page, api, events (the SDK's own way), expiry
    message = SealableJSON(blank=True, default=str)  # a text: what whoever denied said
    edited_input = SealableJSON(null=True, blank=True)
    shown = SealableJSON(null=True, blank=True)  # what the page or the API showed whoever decided
    assigned_to = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ("asked_at", "id")
        indexes = [
            models.Index(fields=["workspace", "state", "asked_at", "id"], name="approval_list"),
            models.Index(fields=["session", "seq"], name="approval_session"),
            models.Index(fields=["expires_at"], name="approval_due", condition=models.Q(state=WAITING)),
        ]

    def __str__(self) -> str:
        return f"{self.tool}: {self.get_state_display()}"


class NoticeTarget(models.Model):
    """Where a workspace is told that a call waits: a mail address, or a URL that gets a signed POST.

    The signing key is sealed (``credentials.crypto``) and shown once, when it is made.
    """

    id = models.CharField(primary_key=True, max_length=40, default=ids.notice_target_id, editable=False)
    workspace = models.ForeignKey("agents.Workspace", models.CASCADE, related_name="notice_targets")
    kind = models.CharField(max_length=16, choices=[("mail", _("Mail")), ("webhook", _("Webhook"))])
    address = models.CharField(max_length=2048)
    sealed_key = models.BinaryField(default=b"", editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    last_error = models.CharField(max_length=300, blank=True, default="", editable=False)

    class Meta:
        ordering = ("created_at",)

    def __str__(self) -> str:
        return self.address


class Notice(models.Model):
    """One message to one target about one call. Tried a bounded number of times; ``next_at`` null means done."""

    target = models.ForeignKey(NoticeTarget, models.CASCADE, related_name="notices")
    approval = models.ForeignKey(Approval, models.CASCADE, related_name="notices")
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("pk",)
        indexes = [models.Index(fields=["next_at"], name="notice_due", condition=~models.Q(next_at=None))]

    def __str__(self) -> str:
        return f"{self.target_id} about {self.approval_id}"
