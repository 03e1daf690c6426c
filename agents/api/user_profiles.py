"""``/v1/user_profiles`` (spec advanced 19), in the dialect that the ``anthropic-beta`` header selects."""

from typing import Annotated, Any, Literal

from django.db.models import F, QuerySet, Value
from django.db.models.functions import Coalesce
from ninja import Body, Query, Router
from pydantic import Field

from agents import dialects, profiles
from agents.models import UserProfile
from contract.errors import InvalidRequest
from contract.http import Request
from contract.pages import paginate
from contract.query import Query as QueryModel
from contract.roles import Permission
from contract.schema import Answer, Params

router = Router(tags=["User profiles"])

PROFILE = "anthropic.types.user_profile.UserProfile"
ProfileAnswer = Annotated[dict[str, Any], Answer(PROFILE)]
ProfilePage = Annotated[dict[str, Any], Answer(PROFILE, page=True)]
DeleteAnswer = Annotated[dict[str, Any], Answer("anthropic.types.deleted_user_profile.DeletedUserProfile")]
EnrollmentAnswer = Annotated[dict[str, Any], Answer("beta_user_profile_enrollment_url.BetaUserProfileEnrollmentURL")]
ActionAnswer = Annotated[
    dict[str, Any], Answer("anthropic.types.user_profiles.user_profile_action_url.UserProfileActionURL")
]
# The beta's types hold the fields of every dialect.
CreateBody = Annotated[dict[str, Any], Params("user_profile_create_params.UserProfileCreateParams")]
UpdateBody = Annotated[dict[str, Any], Params("user_profile_update_params.UserProfileUpdateParams")]
ActionBody = Annotated[dict[str, Any], Params("user_profiles.action_url_create_params.ActionURLCreateParams")]

Status = Literal["unrestricted", "pending", "restricted", "banned"]
NO_PROGRAMS = "This server runs no programs to enroll in; they belong to the hosted service."


class ListQuery(QueryModel):
    limit: int = Field(20, ge=1, le=100)
    page: str | None = None
    order: Literal["asc", "desc"] = "desc"
    order_by: Literal["created_at", "name"] = "created_at"
    enforcement_status: list[Status] = Field([], alias="enforcement_status[]")


def dialect_of(request: Request) -> dialects.Dialect:
    return dialects.of(request.headers.get("anthropic-beta", ""))


def sortable(rows: QuerySet[UserProfile], query: ListQuery) -> tuple[QuerySet[UserProfile], tuple[str, str]]:
    """``rows`` with the fields to sort by. Profiles without a name come last in either direction."""
    if query.order_by == "created_at":
        return rows, ("created_at", "id")
    key = F("name_key") if query.order == "asc" else Coalesce("name_key", Value(""))
    return rows.annotate(sort_name=key), ("sort_name", "id")


@router.post("", response=ProfileAnswer, operation_id="user_profiles.create")
def create(request: Request, body: Body[CreateBody]) -> dict[str, Any]:
    dialect = dialect_of(request)
    return profiles.profile_shape(profiles.create_profile(body, request.acting, dialect), dialect)


@router.get("", response=ProfilePage, operation_id="user_profiles.list")
def list_profiles(request: Request, query: Query[ListQuery]) -> dict[str, Any]:
    """Newest first, or by name."""
    dialect = dialect_of(request)
    if query.enforcement_status and not dialect.programs:
        raise InvalidRequest(
            "enforcement_status: is not part of the API version that the anthropic-beta header selects"
        )
    rows = UserProfile.objects.filter(workspace_id=request.acting.workspace_id)
    if query.enforcement_status and "unrestricted" not in query.enforcement_status:
        rows = rows.none()
    rows, fields = sortable(rows, query)
    kind, order = f"user_profiles:{query.order_by}", query.order
    found = paginate(rows, kind=kind, fields=fields, limit=query.limit, page=query.page, order=order)
    return found.answer(lambda profile: profiles.profile_shape(profile, dialect))


@router.get("/{profile_id}", response=ProfileAnswer, operation_id="user_profiles.retrieve")
def retrieve(request: Request, profile_id: str) -> dict[str, Any]:
    return profiles.profile_shape(profiles.find_profile(profile_id, request.acting), dialect_of(request))


@router.post("/{profile_id}", response=ProfileAnswer, operation_id="user_profiles.update")
def update(request: Request, profile_id: str, body: Body[UpdateBody]) -> dict[str, Any]:
    dialect = dialect_of(request)
    return profiles.profile_shape(profiles.update_profile(profile_id, body, request.acting, dialect), dialect)


@router.delete("/{profile_id}", response=DeleteAnswer, operation_id="user_profiles.delete")
def delete(request: Request, profile_id: str) -> dict[str, Any]:
    profiles.delete_profile(profile_id, request.acting)
    return {"id": profile_id, "type": "user_profile_deleted"}


@router.post(
    "/{profile_id}/enrollment_url", response=EnrollmentAnswer, operation_id="user_profiles.create_enrollment_url"
)
def create_enrollment_url(request: Request, profile_id: str) -> dict[str, Any]:
    """Refused: there is nothing to enroll in."""
    request.acting.require(Permission.OPERATE)
    profiles.find_profile(profile_id, request.acting)
    raise InvalidRequest(NO_PROGRAMS)


@router.post("/{profile_id}/action_urls", response=ActionAnswer, operation_id="user_profiles.action_urls.create")
def create_action_url(request: Request, profile_id: str, body: Body[ActionBody]) -> dict[str, Any]:
    """Refused: there is nothing to enroll in."""
    request.acting.require(Permission.OPERATE)
    profiles.find_profile(profile_id, request.acting)
    raise InvalidRequest(NO_PROGRAMS)
