"""The admin of sessions: everything is read-only, for the log is the truth and only actions write it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html

from agents.admin import ReadOnly
from sessions.models import Deployment, DeploymentRun, Dream, Event, File, Session, WebhookDelivery, WebhookEndpoint

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest


@admin.register(Session)
class SessionAdmin(ReadOnly):
    list_display = ("id", "title", "workspace", "agent", "status", "last_seq", "created_at", "log", "open_page")
    list_filter = ("status", "workspace", ("archived_at", admin.EmptyFieldListFilter))
    list_select_related = ("workspace", "agent")
    search_fields = ("id", "title")
    readonly_fields = ("log", "open_page")
    date_hierarchy = "created_at"

    @admin.display(description="Events")
    def log(self, session: Session) -> str:
        address = reverse("admin:agent_sessions_event_changelist")
        return format_html('<a href="{}?session__id__exact={}">{} events</a>', address, session.pk, session.last_seq)

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
    list_display = ("id", "workspace", "status", "store_id", "output_store_id", "session_id", "created_at", "ended_at")
    list_filter = ("workspace", "status", ("archived_at", admin.EmptyFieldListFilter))
    list_select_related = ("workspace",)
    search_fields = ("=id", "=store_id", "=output_store_id", "=session__id")


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(ReadOnly):
    list_display = ("url", "name", "workspace", "organization", "state", "disabled_reason", "last_success_at")
    list_filter = ("workspace", "state", "organization")
    list_select_related = ("workspace",)
    search_fields = ("url", "name", "=id")


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnly):
    list_display = ("event_id", "event_type", "endpoint", "state", "attempts", "created_at", "finished_at")
    list_filter = ("state",)
    list_select_related = ("endpoint",)
    search_fields = ("=event_id", "=id", "=endpoint__id")
    show_full_result_count = False
