"""Paths of the overview and the session pages."""

from django.urls import path

from sessions.views import act, forks, inspect, lists, palette, schedules, show

app_name = "sessions"
urlpatterns = [
    path("", lists.home, name="overview"),
    path("help/shortcuts/", palette.shortcuts, name="shortcuts"),
    path("help/palette/", palette.palette, name="palette"),
    path("sessions/", lists.session_list, name="list"),
    path("sessions/new/", act.new, name="new"),
    path("sessions/import/", forks.take_in, name="import"),
    path("replay/", forks.replay, name="replay"),
    path("sessions/<str:session_id>/", show.session, name="session"),
    path("sessions/<str:session_id>/events/", show.events, name="events"),
    path("sessions/<str:session_id>/events/<int:seq>/", inspect.event, name="event"),
    path("sessions/<str:session_id>/trace/", inspect.trace, name="trace"),
    path("sessions/<str:session_id>/inspect/<str:tab>/", inspect.inspect, name="inspect"),
    path("sessions/<str:session_id>/changes/", inspect.changes, name="changes"),
    path("sessions/<str:session_id>/minimap/", inspect.minimap, name="minimap"),
    path("sessions/<str:session_id>/pulse/", inspect.pulse, name="pulse"),
    path("sessions/<str:session_id>/limit/", inspect.limit, name="limit"),
    path("sessions/<str:session_id>/fork/", forks.fork, name="fork"),
    path("sessions/<str:session_id>/compare/<str:other_id>/", forks.compare, name="compare"),
    path("sessions/<str:session_id>/export/", forks.export, name="export"),
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
]
