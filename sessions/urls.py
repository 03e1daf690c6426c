"""Paths of the overview and the session pages."""

from django.urls import path

from sessions.views import act, approvals, credentials, lists, palette, schedules, show, webhooks, workers

app_name = "sessions"
urlpatterns = [
    path("approvals/", approvals.approval_list, name="approvals"),
    path("approvals/decide/", approvals.decide_many, name="approvals_decide"),
    path("approvals/<str:approval_id>/", approvals.approval, name="approval"),
    path("approvals/<str:approval_id>/decide/", approvals.decide, name="approval_decide"),
    path("", lists.home, name="overview"),
    path("help/shortcuts/", palette.shortcuts, name="shortcuts"),
    path("help/palette/", palette.palette, name="palette"),
    path("sessions/", lists.session_list, name="list"),
    path("sessions/new/", act.new, name="new"),
    path("sessions/<str:session_id>/", show.session, name="session"),
    path("sessions/<str:session_id>/events/", show.events, name="events"),
    path("sessions/<str:session_id>/files/", show.session_files, name="files"),
    path("sessions/<str:session_id>/files/<str:file_id>/", show.download, name="download"),
    path("sessions/<str:session_id>/send/", act.send, name="send"),
    path("sessions/<str:session_id>/answer/", act.answer, name="answer"),
    path("sessions/<str:session_id>/interrupt/", act.interrupt, name="interrupt"),
    path("sessions/<str:session_id>/archive/", act.archive, name="archive"),
    path("schedules/", schedules.schedule_list, name="schedules"),
    path("schedules/new/", schedules.schedule_new, name="schedule_new"),
    path("schedules/<str:deployment_id>/", schedules.schedule, name="schedule"),
    path("schedules/<str:deployment_id>/edit/", schedules.schedule_edit, name="schedule_edit"),
    path("schedules/<str:deployment_id>/run/", schedules.schedule_run, name="schedule_run"),
    path("schedules/<str:deployment_id>/pause/", schedules.schedule_pause, name="schedule_pause"),
    path("schedules/<str:deployment_id>/archive/", schedules.schedule_archive, name="schedule_archive"),
    path("credentials/<str:credential_id>/", credentials.credential, name="credential"),
    path("credentials/<str:credential_id>/edit/", credentials.credential_edit, name="credential_edit"),
    path("credentials/<str:credential_id>/revoke/", credentials.credential_revoke, name="credential_revoke"),
    path("vaults/<str:vault_id>/new/", credentials.credential_new, name="credential_new"),
    path("environments/<str:environment_id>/workers/", workers.workers, name="workers"),
    path("environments/<str:environment_id>/workers/keys/", workers.worker_key, name="worker_key"),
    path("environments/<str:environment_id>/workers/revoke/", workers.worker_key_revoke, name="worker_key_revoke"),
    path("webhooks/", webhooks.webhook_list, name="webhooks"),
    path("webhooks/new/", webhooks.webhook_new, name="webhook_new"),
    path("webhooks/<str:endpoint_id>/", webhooks.webhook, name="webhook"),
    path("webhooks/<str:endpoint_id>/edit/", webhooks.webhook_edit, name="webhook_edit"),
    path("webhooks/<str:endpoint_id>/state/", webhooks.webhook_state, name="webhook_state"),
    path("webhooks/<str:endpoint_id>/secret/", webhooks.webhook_secret, name="webhook_secret"),
    path("webhooks/<str:endpoint_id>/delete/", webhooks.webhook_delete, name="webhook_delete"),
    path("webhooks/<str:endpoint_id>/redeliver/", webhooks.webhook_redeliver, name="webhook_redeliver"),
]
