"""Paths of a person's account."""

from django.urls import include, path

from config.account import factors, identities, views

own = [
    path("", views.account, name="account"),
    path("password/", views.password, name="password"),
    path("sign-ins/end/", views.end_sign_ins, name="end_sign_ins"),
    path("workspaces/<str:workspace_id>/", views.choose_workspace, name="workspace"),
    path("codes/app/", factors.app, name="app"),
    path("codes/app/remove/", factors.app_remove, name="app_remove"),
    path("codes/recovery/", factors.recovery, name="recovery"),
    path("identities/new/", identities.link, name="link"),
    path("identities/new/confirm/", identities.link_confirm, name="link_confirm"),
    path("identities/<int:number>/remove/", identities.unlink, name="unlink"),
    path("passkeys/new/", factors.passkey_new, name="passkey_new"),
    path("passkeys/<int:number>/remove/", factors.passkey_remove, name="passkey_remove"),
]
urlpatterns = [
    path("confirm/", views.confirm, name="account_reauthenticate"),  # the name that django-allauth looks for
    path("", include((own, "account"))),
]
