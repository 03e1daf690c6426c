"""Paths of the pages of what an operator writes down; those that tell of sessions are in ``sessions.agent_urls``."""

from django.urls import path

from agents.views import agents, environments, memory, skills

app_name = "agents"
urlpatterns = [
    path("agents/new/", agents.agent_new, name="new"),
    path("agents/check/", agents.agent_check, name="check_new"),
    path("agents/<str:agent_id>/edit/", agents.agent_edit, name="edit"),
    path("agents/<str:agent_id>/check/", agents.agent_check, name="check"),
    path("agents/<str:agent_id>/try/", agents.agent_try, name="try"),
    path("agents/<str:agent_id>/archive/", agents.agent_archive, name="archive"),
    path("agents/<str:agent_id>/versions/<int:version>/restore/", agents.agent_restore, name="restore"),
    path("environments/", environments.environment_list, name="environments"),
    path("environments/new/", environments.environment_new, name="environment_new"),
    path("environments/<str:environment_id>/", environments.environment, name="environment"),
    path("environments/<str:environment_id>/archive/", environments.environment_archive, name="environment_archive"),
    path("environments/<str:environment_id>/delete/", environments.environment_delete, name="environment_delete"),
    path("memory/", memory.store_list, name="memory"),
    path("memory/new/", memory.store_new, name="store_new"),
    path("memory/<str:store_id>/", memory.store, name="store"),
    path("memory/<str:store_id>/edit/", memory.store_edit, name="store_edit"),
    path("memory/<str:store_id>/archive/", memory.store_archive, name="store_archive"),
    path("memory/<str:store_id>/delete/", memory.store_delete, name="store_delete"),
    path("memory/<str:store_id>/memories/new/", memory.memory_new, name="memory_new"),
    path("memory/<str:store_id>/memories/<str:memory_id>/", memory.memory, name="memory_page"),
    path("memory/<str:store_id>/memories/<str:memory_id>/edit/", memory.memory_edit, name="memory_edit"),
    path("memory/<str:store_id>/memories/<str:memory_id>/delete/", memory.memory_delete, name="memory_delete"),
    path("memory/<str:store_id>/versions/<str:version_id>/redact/", memory.version_redact, name="version_redact"),
    path("skills/", skills.skill_list, name="skills"),
    path("skills/new/", skills.skill_new, name="skill_new"),
    path("skills/<str:skill_id>/", skills.skill, name="skill"),
    path("skills/<str:skill_id>/delete/", skills.skill_delete, name="skill_delete"),
    path("skills/<str:skill_id>/versions/new/", skills.skill_version_new, name="skill_version_new"),
    path("skills/<str:skill_id>/versions/<str:version>/zip/", skills.skill_download, name="skill_download"),
    path(
        "skills/<str:skill_id>/versions/<str:version>/delete/", skills.skill_version_delete, name="skill_version_delete"
    ),
]
