"""The admin of sessions: everything is read-only, for the log is the truth and only actions write it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html

from contract.shown import ReadOnly, acting_for
from sessions import machines
from sessions.models import (
    Deployment,
    DeploymentRun,
    Dream,
    Event,
    File,
    Session,
    Thread,
    WebhookDelivery,
    WebhookEndpoint,
)
from sessions.models.approvals import Approval, NoticeTarget
from sessions.models.core import Machine
from sessions.models.transfers import Transfer
from sessions.models.work import EnvironmentKey, Work, WorkerSeen
from sessions.models.workflows import WorkflowRun
from sessions.work import keys

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest


@admin.register(Session)
class SessionAdmin(ReadOnly):
    page = "sessions:session"
    list_display = ("id", "title", "workspace", "agent", "status", "last_seq", "created_at", "log", "open_page")
    list_filter = ("status", "workspace", ("archived_at", admin.EmptyFieldListFilter))
    list_select_related = ("workspace", "agent")
    search_fields = ("id", "title")
    readonly_fields = ("log", "open_page")
    date_hierarchy = "created_at"

    @admin.display(description="Events")
    def log(self, session: Session) -> str:
        address = reverse("admin:agent_sessions_event_changelist")
        return format_html('<a href="{}?session__id__exact={}">{}</a>', address, session.pk, session.last_seq)

    @admin.display(description="Page")
    def open_page(self, session: Session) -> str:
        return format_html('<a href="{}">Open</a>', reverse("sessions:session", args=[session.pk]))


@admin.register(Event)
class EventAdmin(ReadOnly):
    """The log of one session after another; ``private`` never leaves the server, so it isn't shown either."""

    list_display = ("seq", "type", "session_id", "created_at", "processed_at")
    exclude = ("private", "words")
    search_fields = ("=id", "=session__id")
    ordering = ("-created_at", "-seq")
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        return super().get_queryset(request).defer("private")

    def lookup_allowed(self, lookup: str, value: Any, request: Any = None) -> bool:
        return lookup == "session__id__exact" or super().lookup_allowed(lookup, value, request)


@admin.register(File)
class FileAdmin(ReadOnly):
    list_display = ("filename", "workspace", "session_id", "mime_type", "size_bytes", "downloadable", "created_at")
    list_filter = ("workspace", "downloadable")
    list_select_related = ("workspace",)
    search_fields = ("filename", "=id", "=session__id")


@admin.register(Deployment)
class DeploymentAdmin(ReadOnly):
    page = "sessions:schedule"
    list_display = ("name", "workspace", "agent", "expression", "time_zone", "next_run_at", "status", "archived_at")
    list_filter = ("workspace", ("archived_at", admin.EmptyFieldListFilter))
    list_select_related = ("workspace", "agent")
    search_fields = ("name", "=id")


@admin.register(DeploymentRun)
class DeploymentRunAdmin(ReadOnly):
    list_display = ("id", "deployment", "scheduled_at", "session_id", "error", "created_at")
    list_filter = (("error", admin.EmptyFieldListFilter),)
    list_select_related = ("deployment",)
    search_fields = ("=id", "=deployment__id", "=session_id")


@admin.register(Dream)
class DreamAdmin(ReadOnly):
    page = "sessions:dream"
    list_display = ("id", "workspace", "status", "store_id", "output_store_id", "session_id", "created_at", "ended_at")
    list_filter = ("workspace", "status", ("archived_at", admin.EmptyFieldListFilter))
    list_select_related = ("workspace",)
    search_fields = ("=id", "=store_id", "=output_store_id", "=session__id")


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(ReadOnly):
    page = "sessions:webhook"
    list_display = ("url", "name", "workspace", "organization", "state", "disabled_reason", "last_success_at")
    list_filter = ("workspace", "state", "organization")
    list_select_related = ("workspace",)
    search_fields = ("url", "name", "=id")

    def get_view_on_site_url(self, obj: Any = None) -> str | None:
        """The organization's endpoints are on no workspace's page."""
        return None if obj is not None and obj.organization else super().get_view_on_site_url(obj)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnly):
    list_display = ("event_id", "event_type", "endpoint", "state", "attempts", "created_at", "finished_at")
    list_filter = ("state",)
    list_select_related = ("endpoint",)
    search_fields = ("=event_id", "=id", "=endpoint__id")
    show_full_result_count = False


@admin.register(Thread)
class ThreadAdmin(ReadOnly):
    """Who holds a thread, and until when; what was said is on the session's page."""

    list_display = ("id", "session_id", "agent_name", "status", "lease_owner", "lease_expires", "created_at")
    list_filter = ("status",)
    search_fields = ("=id", "=session__id")
    show_full_result_count = False


@admin.register(Approval)
class ApprovalAdmin(ReadOnly):
    page = "sessions:approval"
    list_display = ("id", "tool", "state", "workspace", "session_id", "asked_at", "decided_label", "decided_at", "via")
    list_filter = ("state", "workspace")
    list_select_related = ("workspace",)
    search_fields = ("=id", "=session__id", "tool")
    show_full_result_count = False


@admin.register(NoticeTarget)
class NoticeTargetAdmin(ReadOnly):
    list_display = ("address", "kind", "workspace", "last_error", "created_at")
    list_filter = ("kind", "workspace")
    list_select_related = ("workspace",)
    search_fields = ("address",)


@admin.register(EnvironmentKey)
class EnvironmentKeyAdmin(ReadOnly):
    """Keys of outside workers. They are made on the environment's page, which shows them once."""

    list_display = ("name", "environment", "hint", "last_used_at", "expires_at", "revoked_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    list_select_related = ("environment",)
    search_fields = ("name", "hint", "=environment__id")
    actions = ("revoke",)

    @admin.action(description="Revoke the chosen keys")
    def revoke(self, request: HttpRequest, queryset: QuerySet[EnvironmentKey]) -> None:
        for key in queryset.select_related("environment"):
            keys.revoke(key.environment_id, key.pk, acting_for(request, key.environment.workspace_id))


@admin.register(Work)
class WorkAdmin(ReadOnly):
    list_display = ("id", "environment", "session_id", "state", "worker", "attempt", "lease_until", "created_at")
    list_filter = ("state",)
    list_select_related = ("environment",)
    search_fields = ("=id", "=session__id", "worker")
    show_full_result_count = False


@admin.register(WorkerSeen)
class WorkerSeenAdmin(ReadOnly):
    list_display = ("worker", "environment", "polled_at")
    list_select_related = ("environment",)
    search_fields = ("worker", "=environment__id")


@admin.register(WorkflowRun)
class WorkflowRunAdmin(ReadOnly):
    list_display = ("id", "session_id", "status", "phase", "created_at", "deadline")
    list_filter = ("status",)
    search_fields = ("=id", "=session__id")


@admin.register(Transfer)
class TransferAdmin(ReadOnly):
    list_display = ("id", "workspace", "kind", "state", "size", "created_by", "created_at", "ended_at")
    list_filter = ("kind", "state")
    list_select_related = ("workspace", "created_by")
    search_fields = ("=id",)


@admin.register(Machine)
class MachineAdmin(ReadOnly):
    """Machines that run workers. Before one is switched off, it is drained and its sessions come to rest."""

    list_display = ("name", "seen_at", "draining", "sessions_there")
    actions = ("drain", "take_again")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Machine]:
        return machines.listed()

    @admin.display(description="Running there")
    def sessions_there(self, machine: Machine) -> int:
        return int(machine.busy)  # type: ignore[attr-defined]  # annotated by machines.listed

    @admin.action(description="Drain the chosen machines: they take no other sessions")
    def drain(self, request: HttpRequest, queryset: QuerySet[Machine]) -> None:
        self._set(request, queryset, draining=True)

    @admin.action(description="Let the chosen machines take sessions again")
    def take_again(self, request: HttpRequest, queryset: QuerySet[Machine]) -> None:
        self._set(request, queryset, draining=False)

    def _set(self, request: HttpRequest, queryset: QuerySet[Machine], *, draining: bool) -> None:
        for machine in queryset:
            machines.set_draining(machine.name, acting_for(request, ""), draining=draining)
