"""The API under ``/v1``: its routers, its sign-in, its errors. Wiring only."""

from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from ninja import NinjaAPI, Router

from agents.api.agents import router as agents
from agents.api.environments import router as environments
from agents.api.memory import router as memory
from agents.api.models import router as models
from agents.api.skills import router as skills
from agents.api.user_profiles import router as user_profiles
from config import errors
from config.auth import api_key
from config.bodies import BodyParser
from contract.errors import NotFound
from contract.query import only_known
from credentials.api.audit import router as audit
from credentials.api.vaults import router as vaults
from sessions import sse
from sessions.api.approvals import router as approvals
from sessions.api.bulk import router as bulk
from sessions.api.credential_uses import router as credential_uses
from sessions.api.deployments import router as deployments
from sessions.api.deployments import runs as deployment_runs
from sessions.api.dreams import router as dreams
from sessions.api.events import router as events
from sessions.api.exchange import router as exchange
from sessions.api.files import router as files
from sessions.api.forks import router as forks
from sessions.api.layers import router as environment_state
from sessions.api.limits import router as limits
from sessions.api.members import router as members
from sessions.api.permissions import router as permissions
from sessions.api.resources import router as resources
from sessions.api.search import router as search
from sessions.api.sessions import router as sessions
from sessions.api.threads import router as threads
from sessions.api.usage import router as usage
from sessions.api.webhooks import router as webhooks
from sessions.api.work import keys_router as environment_keys
from sessions.api.work import router as work
from sessions.api.workspace_webhooks import router as workspace_webhooks

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
OUT_OF_SCOPE = ("organizations", "tunnels")

api = NinjaAPI(
    title="Holdfast",
    version="1",
    description="The managed-agents API, wire-compatible with the official SDK.",
    urls_namespace="api",
    docs_url=None,
    openapi_url=None,
    auth=api_key,
    parser=BodyParser(),
    openapi_extra={
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            }
        },
        "security": [{"bearer": []}, {"key": []}],
    },
)
errors.install(api)

api.add_router("/agents", agents)
api.add_router("/environments", environments)
api.add_router("/sessions", sessions)
api.add_router("/sessions", events)
api.add_router("/sessions", threads)
api.add_router("/sessions", resources)
api.add_router("/files", files)
api.add_router("/models", models)
api.add_router("/skills", skills)
api.add_router("/vaults", vaults)
api.add_router("/memory_stores", memory)
api.add_router("/user_profiles", user_profiles)
api.add_router("/deployments", deployments)
api.add_router("/deployment_runs", deployment_runs)
api.add_router("/dreams", dreams)
api.add_router("/organizations/webhooks", webhooks)
api.add_router("/environments", work)

ours = Router()  # what the hosted service doesn't have
ours.add_decorator(only_known)
ours.add_router("/webhooks", workspace_webhooks)
ours.add_router("/workspace", exchange)
ours.add_router("/environments", environment_keys)
ours.add_router("/environments", environment_state)
ours.add_router("/sessions", bulk)
ours.add_router("", limits)
ours.add_router("/audit", audit)
ours.add_router("/members", members)
ours.add_router("/permissions", permissions)
ours.add_router("", forks)
ours.add_router("/approvals", approvals)
ours.add_router("/credentials", credential_uses)
ours.add_router("/usage", usage)
ours.add_router("", search)
api.add_router("/x", ours)


async def api_key_async(request: HttpRequest) -> Any:
    """The same sign-in for the streams, which run on the event loop."""
    return await sync_to_async(api_key)(request)


@api.get("/sessions/{session_id}/events/stream", auth=api_key_async, operation_id="sessions.events.stream")
async def session_stream(request: HttpRequest, session_id: str) -> HttpResponseBase:
    """Server-sent events of a session, from now on or after ``Last-Event-ID`` (spec core 14)."""
    return await sse.session_stream(request, session_id)


@api.get(
    "/sessions/{session_id}/threads/{thread_id}/stream",
    auth=api_key_async,
    operation_id="sessions.threads.events.stream",
)
async def thread_stream(request: HttpRequest, session_id: str, thread_id: str) -> HttpResponseBase:
    """Server-sent events of one thread."""
    return await sse.thread_stream(request, session_id, thread_id)


anything_else = Router()


@anything_else.api_operation(METHODS, "/{path:rest}", auth=None, include_in_schema=False)
def unknown(request: HttpRequest, rest: str) -> None:
    """Everything else under ``/v1``."""
    first = rest.partition("/")[0]
    if first == "messages":
        raise NotFound(f"/v1/{rest} belongs to the Messages API of models' own servers and does not exist here.")
    if first in OUT_OF_SCOPE:
        raise NotFound(f"/v1/{rest} belongs to the hosted service's administration and does not exist here.")
    raise NotFound(f"There is no /v1/{rest} here.")


api.add_router("", anything_else)  # last: it takes every path
