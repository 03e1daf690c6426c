"""Every URL of the installation: the API, the pages, sign-in, the admin and the two health answers."""

from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import include, path
from django.views.generic import RedirectView

import agents.urls
import sessions.agent_urls
from config import health, metrics
from config.api import api
from config.signin import SignIn

urlpatterns = [
    path("v1/", api.urls),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("login", SignIn.as_view(), name="login"),
    path("admin/login/", RedirectView.as_view(pattern_name="login", query_string=True)),  # the one that is throttled
    path("logout", auth.LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
    path("", include("sessions.urls")),
    path("", include((agents.urls.urlpatterns + sessions.agent_urls.urlpatterns, "agents"))),
    path("", include("credentials.urls")),
]
