"""Paths of the overview and the session pages."""

from django.urls import path

from sessions.views import act, lists, palette, show

app_name = "sessions"
urlpatterns = [
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
]
