"""Paths of the pages that show agents. They tell of sessions too, so they live here; their names are the agents'."""

from django.urls import path

from sessions.views import agents

app_name = "agents"
urlpatterns = [
    path("agents/", agents.agent_list, name="list"),
    path("agents/<str:agent_id>/", agents.agent, name="agent"),
    path("agents/<str:agent_id>/versions/<int:version>/", agents.agent, name="version"),
]
