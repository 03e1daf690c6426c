"""The admin of workspaces and people, and a view of agents and environments, which pages and API change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied, ValidationError
from django.shortcuts import get_object_or_404, render
from django.urls import path
from pydantic import ValidationError as PydanticError

from agents import actions
from agents.models import Agent, AgentVersion, Environment, Membership, Workspace
from agents.models.memory import MemoryStore
from agents.models.profiles import UserProfile
from agents.models.skills import Skill
from agents.trying import CallForm, tried
from contract import happenings
from contract.audit import OnRecord
from contract.limits import WorkspaceLimits, merged
from contract.shown import ReadOnly, acting_for

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    TabularInline = admin.TabularInline[Any, Any]
    BaseUserAdmin = UserAdmin[User]
    ModelForm = forms.ModelForm[Any]
else:  # generic to the type checker only
    ModelAdmin = admin.ModelAdmin
    TabularInline = admin.TabularInline
    BaseUserAdmin = UserAdmin
    ModelForm = forms.ModelForm

admin.site.site_header = "Holdfast"
admin.site.site_title = "Holdfast admin"
admin.site.index_title = "Administration"
admin.site.unregister(Group)  # roles in workspaces take their place
admin.site.unregister(User)


class MembershipInline(TabularInline):
    model = Membership
    extra = 1
    autocomplete_fields = ("user",)


class WorkspaceForm(ModelForm):
    """``limits`` are checked as the API checks them."""

    def clean_limits(self) -> dict[str, Any]:
        try:
            return merged({}, WorkspaceLimits.model_validate(self.cleaned_data["limits"] or {}).model_dump())
        except PydanticError as error:
            first = error.errors()[0]
            raise ValidationError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


@admin.register(User)
class PersonAdmin(OnRecord, BaseUserAdmin):
    """People. Whoever is switched off here is signed out everywhere."""


@admin.register(Workspace)
class WorkspaceAdmin(OnRecord, ModelAdmin):
    list_display = ("name", "id", "created_at")
    readonly_fields = ("id", "created_at")
    search_fields = ("name", "id")
    fields = ("name", "limits", "id", "created_at")
    inlines = (MembershipInline,)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, form=WorkspaceForm, **kwargs)

    def save_model(self, request: HttpRequest, obj: Workspace, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change and "limits" in form.changed_data:
            happenings.tell(happenings.WORKSPACE_LIMITS, obj.pk, workspace_id=obj.pk)


@admin.register(Membership)
class MembershipAdmin(OnRecord, ModelAdmin):
    list_display = ("user", "workspace", "role", "created_at")
    list_filter = ("role", "workspace")
    list_select_related = ("user", "workspace")
    search_fields = ("user__username", "workspace__name")
    autocomplete_fields = ("user", "workspace")


class VersionInline(TabularInline):
    model = AgentVersion
    fields = ("version", "spec", "created_by", "created_at")
    readonly_fields = fields
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Agent)
class AgentAdmin(ReadOnly):
    """Agents change on their pages, where each change is a version; here they are read and archived."""

    page = "agents:agent"
    list_display = ("name", "version", "workspace", "created_at", "archived_at")
    list_filter = ("workspace", ("archived_at", admin.EmptyFieldListFilter))
    list_select_related = ("workspace",)
    search_fields = ("name", "id")
    inlines = (VersionInline,)
    actions = ("archive",)

    def get_urls(self) -> list[Any]:
        address = path("<str:agent_id>/try/", self.admin_site.admin_view(self.try_call), name="agents_agent_try")
        return [address, *super().get_urls()]

    def try_call(self, request: HttpRequest, agent_id: str) -> HttpResponse:
        """The policy tester, for an agent of any workspace."""
        agent = get_object_or_404(Agent, pk=agent_id)
        if not self.has_view_permission(request, agent):
            raise PermissionDenied
        form = CallForm(request.POST or None, initial={"tool": "bash"})
        spec = AgentVersion.objects.get(agent=agent, version=agent.version).spec
        context = {**self.admin_site.each_context(request), "agent": agent, "form": form, **tried(form, spec)}
        return render(request, "admin/agents/agent/try.html", context)

    @admin.action(description="Archive the chosen agents")
    def archive(self, request: HttpRequest, queryset: QuerySet[Agent]) -> None:
        for agent in queryset:
            actions.archive_agent(agent.pk, acting_for(request, agent.workspace_id))


@admin.register(Environment)
class EnvironmentAdmin(ReadOnly):
    """Environments change on their pages; here they are read and archived."""

    page = "agents:environment"
    list_display = ("name", "workspace", "created_at", "archived_at")
    list_filter = ("workspace", ("archived_at", admin.EmptyFieldListFilter))
    list_select_related = ("workspace",)
    search_fields = ("name", "id")
    actions = ("archive",)

    @admin.action(description="Archive the chosen environments")
    def archive(self, request: HttpRequest, queryset: QuerySet[Environment]) -> None:
        for environment in queryset:
            actions.archive_environment(environment.pk, acting_for(request, environment.workspace_id))


@admin.register(MemoryStore)
class MemoryStoreAdmin(ReadOnly):
    """What is in a store is on its page."""

    page = "agents:store"
    list_display = ("name", "workspace", "created_at", "archived_at")
    list_filter = ("workspace", ("archived_at", admin.EmptyFieldListFilter))
    list_select_related = ("workspace",)
    search_fields = ("name", "=id")


@admin.register(Skill)
class SkillAdmin(ReadOnly):
    page = "agents:skill"
    list_display = ("name", "display_name", "workspace", "created_at", "updated_at")
    list_filter = ("workspace",)
    list_select_related = ("workspace",)
    search_fields = ("name", "display_name", "=id")


@admin.register(UserProfile)
class UserProfileAdmin(ReadOnly):
    """Whom sessions act for; ``details`` are personal and stay out of the list."""

    list_display = ("id", "name", "workspace", "access_type", "created_at")
    list_filter = ("workspace", "access_type")
    list_select_related = ("workspace",)
    search_fields = ("name", "=id")
    exclude = ("details",)
