"""The admin of what is secret. Nothing here ever shows a secret: keys are revoked, connections rewritten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django import forms
from django.conf import settings
from django.contrib import admin

from contract.acting import Acting
from contract.audit import OnRecord
from contract.roles import Role
from contract.secret import Secret
from credentials import actions
from credentials.connections import keep_connection
from credentials.models import ApiKey, AuditRecord, ModelConnection

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest


if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    ModelForm = forms.ModelForm[ModelConnection]
else:  # generic to the type checker only
    ModelAdmin = admin.ModelAdmin
    ModelForm = forms.ModelForm


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):
    """Keys are made on the page of their workspace, which shows them once."""

    list_display = ("name", "workspace", "role", "hint", "created_by", "last_used_at", "expires_at", "revoked_at")
    list_filter = ("workspace", "role", ("revoked_at", admin.EmptyFieldListFilter))
    list_select_related = ("workspace", "created_by")
    search_fields = ("name", "hint", "id")
    exclude = ("digest",)
    actions = ("revoke",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    @admin.action(description="Revoke the chosen keys", permissions=["view"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for key in queryset:
            acting = Acting(key.workspace_id, Role.ADMIN, request.user.get_username(), user_id=request.user.pk)
            actions.revoke_api_key(key.pk, acting=acting)


class ConnectionForm(ModelForm):
    """A workspace's model server. The key can be replaced or cleared, never read."""

    api_key = forms.CharField(
        required=False,
        strip=True,
        label="API key",
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="Leave empty to keep the stored key.",
    )
    base_url = forms.URLField(
        required=False, max_length=2048, assume_scheme="https", help_text="Empty means Anthropic's own server."
    )
    clear_key = forms.BooleanField(required=False, label="Forget the stored key")

    class Meta:
        model = ModelConnection
        fields = ("workspace", "base_url")

    def clean_base_url(self) -> str:
        url: str = self.cleaned_data["base_url"]
        if url and urlsplit(url).netloc == urlsplit(settings.HOLDFAST_PUBLIC_URL).netloc:
            raise forms.ValidationError("This is the address of this installation; it can't be its own model.")
        return url

    def new_key(self) -> Secret | None:
        """The key to store: None keeps the old one, an empty one clears it."""
        if self.cleaned_data["clear_key"]:
            return Secret("")
        return Secret(self.cleaned_data["api_key"]) if self.cleaned_data["api_key"] else None


@admin.register(ModelConnection)
class ModelConnectionAdmin(OnRecord, ModelAdmin):
    form = ConnectionForm
    list_display = ("workspace", "base_url", "hint", "updated_at")
    list_select_related = ("workspace",)
    readonly_fields = ("hint",)

    def save_model(self, request: HttpRequest, obj: ModelConnection, form: Any, change: bool) -> None:
        keep_connection(obj, form.new_key())


@admin.register(AuditRecord)
class AuditRecordAdmin(ModelAdmin):
    """The audit log of all workspaces, to be read."""

    list_display = ("at", "actor", "action", "kind", "object_id", "workspace_id")
    list_filter = ("action", "kind")
    search_fields = ("actor", "object_id", "workspace_id")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: AuditRecord | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AuditRecord | None = None) -> bool:
        return False
