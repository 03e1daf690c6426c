"""``/v1/environments/{id}/work`` (spec advanced 16): the queue that outside workers ask; and the keys they ask with."""

import time
from typing import Annotated, Any

from django.db import connection
from django.http import JsonResponse
from ninja import Body, Query, Router
from pydantic import BaseModel, ConfigDict, Field

from agents.actions import find_environment
from agents.models import Environment
from contract.errors import InvalidRequest, PermissionDenied
from contract.http import Request
from contract.pages import paginate
from contract.query import Moment
from contract.query import Query as QueryModel
from contract.roles import Permission
from contract.schema import Answer, Params
from sessions.models import EnvironmentKey, Work
from sessions.work import keys, queue
from sessions.work.shapes import key_shape, work_shape

router = Router(tags=["Work"])
keys_router = Router(tags=["Work"])

WORK = "environments.beta_self_hosted_work.BetaSelfHostedWork"
WorkAnswer = Annotated[dict[str, Any], Answer(WORK)]
WorkPage = Annotated[dict[str, Any], Answer(WORK, page=True)]
BeatAnswer = Annotated[
    dict[str, Any], Answer("environments.beta_self_hosted_work_heartbeat_response.BetaSelfHostedWorkHeartbeatResponse")
]
StatsAnswer = Annotated[
    dict[str, Any], Answer("environments.beta_self_hosted_work_queue_stats.BetaSelfHostedWorkQueueStats")
]
IN_PATH = frozenset({"environment_id"})
StopBody = Annotated[dict[str, Any], Params("environments.work_stop_params.WorkStopParams", elsewhere=IN_PATH)]
UpdateBody = Annotated[dict[str, Any], Params("environments.work_update_params.WorkUpdateParams", elsewhere=IN_PATH)]
LOOK_SECONDS = 0.1


class PollQuery(QueryModel):
    block_ms: int | None = Field(None, ge=1, le=999)
    reclaim_older_than_ms: int = Field(5000, ge=0, le=3_600_000)


class BeatQuery(QueryModel):
    expected_last_heartbeat: str | None = Field(None, max_length=64)
    desired_ttl_seconds: int | None = Field(None, ge=1, le=1_000_000)


class ListQuery(QueryModel):
    limit: int = Field(20, ge=1, le=100)
    page: str | None = None


def _environment(request: Request, environment_id: str) -> Environment:
    environment = find_environment(environment_id, request.acting)
    if environment.config["type"] != "self_hosted":
        raise InvalidRequest(f"Environment {environment_id} is not self_hosted and has no work queue.")
    return environment


@router.get("/{environment_id}/work/poll", response=WorkAnswer, operation_id="environments.work.poll")
def poll(request: Request, environment_id: str, query: Query[PollQuery]) -> Any:
    """The next item with its secret, or ``null``; waits ``block_ms`` for one."""
    request.acting.require(Permission.OPERATE)
    environment = _environment(request, environment_id)
    worker = request.headers.get("anthropic-worker-id", "")[:256]
    if worker:
        queue.seen(environment, worker)
    until = time.monotonic() + (query.block_ms or 0) / 1000
    while True:
        found = queue.poll(environment, worker, query.reclaim_older_than_ms)
        if found is not None:
            return JsonResponse(work_shape(*found))
        if time.monotonic() >= until:
            return JsonResponse(None, safe=False)
        if not connection.in_atomic_block:
            connection.close()
        time.sleep(min(LOOK_SECONDS, max(0.0, until - time.monotonic())))


@router.get("/{environment_id}/work/stats", response=StatsAnswer, operation_id="environments.work.stats")
def stats(request: Request, environment_id: str) -> dict[str, Any]:
    return queue.stats(_environment(request, environment_id))


@router.get("/{environment_id}/work", response=WorkPage, operation_id="environments.work.list")
def list_work(request: Request, environment_id: str, query: Query[ListQuery]) -> dict[str, Any]:
    """Newest first. For environment keys alone, as the hosted service has it."""
    environment = _environment(request, environment_id)
    if request.acting.environment_key_id is None:
        raise PermissionDenied("Listing work needs the environment's key, as `Authorization: Bearer sk-ant-oat01-…`.")
    rows = Work.objects.filter(environment=environment)
    found = paginate(rows, kind="work", fields=("created_at", "id"), limit=query.limit, page=query.page)
    return found.answer(work_shape)


@router.get("/{environment_id}/work/{work_id}", response=WorkAnswer, operation_id="environments.work.retrieve")
def retrieve(request: Request, environment_id: str, work_id: str) -> dict[str, Any]:
    return work_shape(queue.find(environment_id, work_id, request.acting))


@router.post("/{environment_id}/work/{work_id}", response=WorkAnswer, operation_id="environments.work.update")
def update(request: Request, environment_id: str, work_id: str, body: Body[UpdateBody]) -> dict[str, Any]:
    request.acting.require(Permission.OPERATE)
    return work_shape(queue.change(environment_id, work_id, body["metadata"], request.acting))


@router.post("/{environment_id}/work/{work_id}/ack", response=WorkAnswer, operation_id="environments.work.ack")
def acknowledge(request: Request, environment_id: str, work_id: str) -> dict[str, Any]:
    request.acting.require(Permission.OPERATE)
    return work_shape(queue.acknowledge(environment_id, work_id, request.acting))


@router.post(
    "/{environment_id}/work/{work_id}/heartbeat", response=BeatAnswer, operation_id="environments.work.heartbeat"
)
def heartbeat(request: Request, environment_id: str, work_id: str, query: Query[BeatQuery]) -> dict[str, Any]:
    request.acting.require(Permission.OPERATE)
    return queue.heartbeat(
        environment_id,
        work_id,
        request.acting,
        expected=query.expected_last_heartbeat,
        ttl_seconds=query.desired_ttl_seconds,
    )


@router.post("/{environment_id}/work/{work_id}/stop", response=WorkAnswer, operation_id="environments.work.stop")
def stop(request: Request, environment_id: str, work_id: str, body: Body[StopBody | None] = None) -> dict[str, Any]:
    request.acting.require(Permission.OPERATE)
    return work_shape(queue.stop(environment_id, work_id, request.acting, force=bool((body or {}).get("force"))))


class KeyBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    expires_at: Moment | None = None


@keys_router.post("/{environment_id}/keys", response=dict[str, Any], operation_id="x.environments.keys.create")
def create_key(request: Request, environment_id: str, body: Body[KeyBody]) -> dict[str, Any]:
    """The only answer that holds the key."""
    key, plain = keys.issue(environment_id, body.name, request.acting, body.expires_at)
    return {**key_shape(key), "key": plain}


@keys_router.get("/{environment_id}/keys", response=dict[str, Any], operation_id="x.environments.keys.list")
def list_keys(request: Request, environment_id: str, query: Query[ListQuery]) -> dict[str, Any]:
    request.acting.require(Permission.ADMINISTER)
    rows = EnvironmentKey.objects.filter(environment=_environment(request, environment_id))
    found = paginate(rows, kind="environment_keys", fields=("created_at", "id"), limit=query.limit, page=query.page)
    return found.answer(key_shape)


@keys_router.post(
    "/{environment_id}/keys/{key_id}/revoke", response=dict[str, Any], operation_id="x.environments.keys.revoke"
)
def revoke_key(request: Request, environment_id: str, key_id: str) -> dict[str, Any]:
    return key_shape(keys.revoke(environment_id, key_id, request.acting))
