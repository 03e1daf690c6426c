"""Paths of the agent and environment pages."""

from django.urls import path

from agents import views

app_name = "agents"
urlpatterns = [
    path("agents/", views.agent_list, name="list"),
    path("agents/new/", views.agent_new, name="new"),
    path("agents/<str:agent_id>/", views.agent, name="agent"),
    path("agents/<str:agent_id>/edit/", views.agent_edit, name="edit"),
    path("agents/<str:agent_id>/try/", views.agent_try, name="try"),
    path("agents/<str:agent_id>/archive/", views.agent_archive, name="archive"),
    path("agents/<str:agent_id>/versions/<int:version>/", views.agent, name="version"),
    path("environments/", views.environment_list, name="environments"),
    path("environments/new/", views.environment_new, name="environment_new"),
    path("environments/<str:environment_id>/", views.environment, name="environment"),
    path("environments/<str:environment_id>/archive/", views.environment_archive, name="environment_archive"),
]
