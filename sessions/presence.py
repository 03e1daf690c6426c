"""Who sits behind a websocket, asked again and again: sign-in, account and membership may end meanwhile."""

from __future__ import annotations

import asyncio
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth import get_user

from agents.models import Membership
from contract.acting import Acting
from contract.roles import Permission, Role, may
from sessions import reading
from sessions.models import Session

if TYPE_CHECKING:
    from collections.abc import Mapping

FRESH_SECONDS = 1.0
CHOSEN_WORKSPACE = "workspace_id"  # the key under which the pages keep the chosen workspace in the cookie session
SIGN_IN = 4401
NOT_YOURS = 4403


class Refused(Exception):
    """The person may not see this (any more). ``code`` is the websocket's close code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Presence:
    """The person of one socket. ``check`` asks the database at most once a second.

    ``session_id`` names the session they look at; without it they look at their chosen workspace.
    """

    def __init__(self, scope: Mapping[str, Any], session_id: str | None = None) -> None:
        session = scope.get("session")
        self._key: str | None = session.session_key if session is not None else None
        self._session_id = session_id
        self._acting: Acting | None = None
        self._asked_at = 0.0

    async def check(self) -> Acting:
        """Who they are now, or ``Refused``: 4401 signed out, 4403 not a member or no such session."""
        now = asyncio.get_running_loop().time()
        if self._acting is None or now - self._asked_at > FRESH_SECONDS:
            self._acting = await reading.in_thread(self._ask)
            self._asked_at = now
        return self._acting

    def _ask(self) -> Acting:
        user, chosen = self._signed_in()
        member = self._membership(user, chosen)
        if member is None or not may(member.role, Permission.READ):
            self._signed_in()  # whoever was removed since we looked is signed out, and told that
            raise Refused(NOT_YOURS)
        return Acting(member.workspace_id, Role(member.role), user.get_username(), user_id=user.pk)

    def _signed_in(self) -> tuple[Any, str | None]:
        """The user and the id of the workspace they chose."""
        store = import_module(settings.SESSION_ENGINE).SessionStore(self._key)
        user = get_user(SimpleNamespace(session=store))  # type: ignore[arg-type]  # it reads nothing but the session
        if not user.is_authenticated or not user.is_active:
            raise Refused(SIGN_IN)
        return user, store.get(CHOSEN_WORKSPACE)

    def _membership(self, user: Any, chosen: str | None) -> Membership | None:
        mine = Membership.objects.filter(user=user).order_by("created_at", "pk")
        if self._session_id is not None:
            where = Session.objects.filter(pk=self._session_id).values("workspace_id")
            return mine.filter(workspace_id__in=where).first()
        found = list(mine)
        return next((one for one in found if one.workspace_id == chosen), found[0] if found else None)
