"""The API's bodies that start and change sessions; the page that starts one checks its own by the same."""

from __future__ import annotations

from agents.bodies import session_body
from contract.schema import Params
from sessions.permissions import SessionAdditions

SESSION_CREATE = Params("session_create_params.SessionCreateParams", prepare=session_body, beside=SessionAdditions)
SESSION_UPDATE = Params("session_update_params.SessionUpdateParams", prepare=session_body, beside=SessionAdditions)
