"""The websocket URLs. ``config.asgi`` puts the origin check and the cookie session around them."""

from __future__ import annotations

from django.urls import path

from sessions.consumers import (
    AgentsSocket,
    ApprovalsSocket,
    InboxSocket,
    LimitsSocket,
    ListSocket,
    PartSocket,
    SessionSocket,
    SystemSocket,
)

websocket_urlpatterns = [
    path("ws/sessions/<str:session_id>/", SessionSocket.as_asgi()),
    path("ws/approvals/", ApprovalsSocket.as_asgi()),
    path("ws/agents/", AgentsSocket.as_asgi()),
    path("ws/inbox/", InboxSocket.as_asgi()),
    path("ws/limits/", LimitsSocket.as_asgi()),
    path("ws/part/", PartSocket.as_asgi()),
    path("ws/list/", ListSocket.as_asgi()),
    path("ws/system/", SystemSocket.as_asgi()),
]
