"""Paths of the API key pages."""

from django.urls import path

from credentials import audit_views, views

app_name = "credentials"
urlpatterns = [
    path("audit/", audit_views.audit, name="audit"),
    path("audit/export/", audit_views.export, name="audit_export"),
    path("keys/", views.key_list, name="keys"),
    path("keys/new/", views.key_new, name="key_new"),
    path("keys/<str:key_id>/revoke/", views.key_revoke, name="key_revoke"),
]
