"""Paths of the API key pages."""

from django.urls import path

from credentials import audit_views, pages, views

app_name = "credentials"
urlpatterns = [
    path("vaults/", pages.vault_list, name="list"),
    path("vaults/new/", pages.vault_new, name="vault_new"),
    path("vaults/signed-in/", pages.signed_in, name="signed_in"),
    path("vaults/<str:vault_id>/", pages.vault, name="vault"),
    path("vaults/<str:vault_id>/edit/", pages.vault_edit, name="vault_edit"),
    path("vaults/<str:vault_id>/archive/", pages.vault_archive, name="vault_archive"),
    path("vaults/<str:vault_id>/delete/", pages.vault_delete, name="vault_delete"),
    path("vaults/<str:vault_id>/sign-in/", pages.sign_in, name="sign_in"),
    path(
        "vaults/<str:vault_id>/credentials/<str:credential_id>/archive/",
        pages.credential_archive,
        name="credential_archive",
    ),
    path("audit/", audit_views.audit, name="audit"),
    path("audit/export/", audit_views.export, name="audit_export"),
    path("keys/", views.key_list, name="keys"),
    path("keys/new/", views.key_new, name="key_new"),
    path("keys/<str:key_id>/revoke/", views.key_revoke, name="key_revoke"),
]
