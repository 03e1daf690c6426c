"""The admin of what is secret. Nothing here ever shows a secret: keys are revoked, connections rewritten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.urls import reverse
from django.utils.html import format_html

from contract.audit import OnRecord
from contract.secret import Secret
from contract.shown import ReadOnly, acting_for
from credentials import actions, vaults
from credentials.connections import keep_connection
from credentials.models import AccessRecord, ApiKey, AuditRecord, Credential, ModelConnection, Vault

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
class ApiKeyAdmin(ReadOnly):
    """Keys are made on the page of their workspace, which shows them once."""

    list_display = ("name", "workspace", "role", "hint", "created_by", "last_used_at", "expires_at", "revoked_at")
    list_filter = ("workspace", "role", ("revoked_at", admin.EmptyFieldListFilter))
    list_select_related = ("workspace", "created_by")
    search_fields = ("name", "hint", "id")
    exclude = ("digest",)
    actions = ("revoke",)

    @admin.action(description="Revoke the chosen keys", permissions=["view"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for key in queryset:
            actions.revoke_api_key(key.pk, acting=acting_for(request, key.workspace_id))


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


@admin.register(Vault)
class VaultAdmin(ReadOnly):
    page = "credentials:vault"
    list_display = ("display_name", "workspace", "created_at", "archived_at", "open_page")
    list_filter = ("workspace", ("archived_at", admin.EmptyFieldListFilter))
    list_select_related = ("workspace",)
    search_fields = ("display_name", "=id")
    readonly_fields = ("open_page",)
    actions = ("archive",)

    @admin.display(description="Page")
    def open_page(self, vault: Vault) -> str:
        return format_html('<a href="{}">Open</a>', reverse("credentials:vault", args=[vault.pk]))

    @admin.action(description="Archive the chosen vaults; what is secret in them is forgotten")
    def archive(self, request: HttpRequest, queryset: QuerySet[Vault]) -> None:
        for vault in queryset.filter(archived_at=None):
            vaults.archive_vault(vault.pk, acting_for(request, vault.workspace_id))
        messages.success(request, "The vaults are archived.")


@admin.register(Credential)
class CredentialAdmin(ReadOnly):
    """``auth`` is what the API shows of a credential; the secrets themselves are no part of any page."""

    page = "sessions:credential"
    list_display = ("__str__", "vault", "created_at", "refused_at", "archived_at", "open_page", "rotate")
    list_filter = (("archived_at", admin.EmptyFieldListFilter), ("refused_at", admin.EmptyFieldListFilter))
    list_select_related = ("vault",)
    search_fields = ("display_name", "=id", "=vault__id")
    readonly_fields = ("open_page", "rotate")
    actions = ("revoke",)

    @admin.display(description="Page")
    def open_page(self, credential: Credential) -> str:
        return format_html('<a href="{}">Open</a>', reverse("sessions:credential", args=[credential.pk]))

    @admin.display(description="Secret")
    def rotate(self, credential: Credential) -> str:
        if credential.archived_at is not None:
            return "forgotten"
        return format_html('<a href="{}">Rotate</a>', reverse("sessions:credential_edit", args=[credential.pk]))

    @admin.action(description="Revoke the chosen credentials; their secrets are forgotten")
    def revoke(self, request: HttpRequest, queryset: QuerySet[Credential]) -> None:
        for row in queryset.filter(archived_at=None).select_related("vault"):
            vaults.archive_credential(row.vault_id, row.pk, acting_for(request, row.vault.workspace_id))
        messages.success(request, "The credentials are revoked.")


@admin.register(AccessRecord)
class AccessRecordAdmin(ReadOnly):
    """Every use of a secret, to be read."""

    list_display = ("created_at", "by", "purpose", "host", "tool", "credential_id", "session_id")
    list_filter = ("purpose", "workspace")
    search_fields = ("=credential_id", "=vault_id", "=session_id", "host", "by")
    show_full_result_count = False


@admin.register(AuditRecord)
class AuditRecordAdmin(ReadOnly):
    """The audit log of all workspaces, to be read."""

    list_display = ("at", "actor", "action", "kind", "object_id", "workspace_id")
    list_filter = ("action", "kind")
    search_fields = ("actor", "object_id", "workspace_id")
    show_full_result_count = False
