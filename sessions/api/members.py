"""``/v1/x/members``: the people of a workspace. Every call needs the role admin."""

from typing import Any, Literal

from ninja import Body, Query, Router
from pydantic import BaseModel, ConfigDict, Field

from agents import members
from contract.http import Request
from contract.pages import paginate
from contract.query import Query as QueryModel
from sessions.members import remove, row, rows, shape

router = Router(tags=["Members"])

RoleName = Literal["viewer", "operator", "developer", "admin"]


class NewMemberBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    username: str = Field(min_length=1, max_length=150)
    role: RoleName
    email: str = Field("", max_length=254)


class MemberRoleBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    role: RoleName


class ListQuery(QueryModel):
    limit: int = Field(20, ge=1, le=100)
    page: str | None = None


class RemoveQuery(QueryModel):
    revoke_keys: bool = False


@router.get("", response=dict[str, Any], operation_id="x.members.list")
def list_members(request: Request, query: Query[ListQuery]) -> dict[str, Any]:
    found = paginate(
        members.members(request.acting), kind="members", fields=("created_at", "id"), limit=query.limit, page=query.page
    )
    return {"data": [shape(one) for one in rows(found.rows, request.acting)], "next_page": found.next_page}


@router.post("", response=dict[str, Any], operation_id="x.members.create")
def create(request: Request, body: Body[NewMemberBody]) -> dict[str, Any]:
    """``join_link`` is in this answer alone: the new person sets a password by it, once. Null for people known here."""
    member, is_new = members.add(body.model_dump(), request.acting)
    link = members.join_link(str(member.pk), request.acting).reveal() if is_new else None
    return {**shape(row(str(member.pk), request.acting)), "join_link": link}


@router.get("/{member_id}", response=dict[str, Any], operation_id="x.members.retrieve")
def retrieve(request: Request, member_id: str) -> dict[str, Any]:
    return shape(row(member_id, request.acting))


@router.post("/{member_id}", response=dict[str, Any], operation_id="x.members.update")
def update(request: Request, member_id: str, body: Body[MemberRoleBody]) -> dict[str, Any]:
    """Another role. Whoever loses rights by it is signed out everywhere."""
    members.change_role(member_id, body.role, request.acting)
    return shape(row(member_id, request.acting))


@router.post("/{member_id}/join_link", response=dict[str, Any], operation_id="x.members.join_link")
def join_link(request: Request, member_id: str) -> dict[str, Any]:
    """A new link, for a first or a forgotten password. It voids the ones before."""
    return {"type": "join_link", "url": members.join_link(member_id, request.acting).reveal()}


@router.delete("/{member_id}", response=dict[str, Any], operation_id="x.members.delete")
def delete(request: Request, member_id: str, query: Query[RemoveQuery]) -> dict[str, Any]:
    """Their sign-ins and sockets end at once. ``api_keys`` are those of theirs that go on working."""
    theirs = [key.pk for key in row(member_id, request.acting).keys] if query.revoke_keys else []
    gone = remove(member_id, theirs, request.acting)
    return {"id": member_id, "type": "member_deleted", "api_keys": shape(gone)["api_keys"]}
