"""Paths of the pages of vaults, API keys and the audit log."""

from django.urls import path

from credentials import audit_views, key_views, vault_views

app_name = "credentials"
urlpatterns = [
    path("vaults/", vault_views.vault_list, name="list"),
    path("vaults/new/", vault_views.vault_new, name="vault_new"),
    path("vaults/signed-in/", vault_views.signed_in, name="signed_in"),
    path("vaults/<str:vault_id>/", vault_views.vault, name="vault"),
    path("vaults/<str:vault_id>/edit/", vault_views.vault_edit, name="vault_edit"),
    path("vaults/<str:vault_id>/archive/", vault_views.vault_archive, name="vault_archive"),
    path("vaults/<str:vault_id>/delete/", vault_views.vault_delete, name="vault_delete"),
    path("vaults/<str:vault_id>/sign-in/", vault_views.sign_in, name="sign_in"),
    path(
        "vaults/<str:vault_id>/credentials/<str:credential_id>/archive/",
        vault_views.credential_archive,
        name="credential_archive",
    ),
    path("audit/", audit_views.audit, name="audit"),
    path("audit/export/", audit_views.export, name="audit_export"),
    path("keys/", key_views.key_list, name="keys"),
    path("keys/new/", key_views.key_new, name="key_new"),
    path("keys/<str:key_id>/revoke/", key_views.key_revoke, name="key_revoke"),
]
