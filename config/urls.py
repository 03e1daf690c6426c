"""Every URL of the installation: the API, the pages, sign-in, the admin and the two health answers."""

from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import include, path
from django.views.generic import RedirectView

import agents.urls
import sessions.agent_urls
from config import health, metrics
from config.account.join import Join
from config.api import api
from config.signin import oidc
from config.signin.views import PasskeyIn, SecondFactor, SignIn

urlpatterns = [
    path("v1/", api.urls),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("login", SignIn.as_view(), name="account_login"),  # these names are the ones that django-allauth looks for
    path("login/code", SecondFactor.as_view(), name="mfa_authenticate"),
    path("login/passkey", PasskeyIn.as_view(), name="mfa_login_webauthn"),
    path("login/<slug:provider_id>", oidc.leave, name="openid_connect_login"),
    path("login/<slug:provider_id>/callback", oidc.come_back, name="openid_connect_callback"),
    path("join/<str:uidb64>/<str:token>", Join.as_view(), name="join"),
    path("logout", auth.LogoutView.as_view(), name="logout"),
    path("admin/password_change/", RedirectView.as_view(pattern_name="account:password")),  # it signs out elsewhere
    path("admin/", admin.site.urls),
    path("account/", include("config.account.urls")),
    path("", include("sessions.urls")),
    path("", include((agents.urls.urlpatterns + sessions.agent_urls.urlpatterns, "agents"))),
    path("", include("credentials.urls")),
]
