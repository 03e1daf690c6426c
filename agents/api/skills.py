"""``/v1/skills`` (spec advanced 5.4)."""

from typing import Annotated, Any, Literal

from django.http import StreamingHttpResponse
from ninja import Query, Router
from pydantic import Field

from agents.models import Skill, SkillVersion
from agents.skills import actions, shapes, uploads
from contract import pieces
from contract.http import Request
from contract.pages import Page, paginate
from contract.query import Query as QueryModel
from contract.schema import Answer

router = Router(tags=["Skills"])

SKILL = "beta_skill.BetaSkill"
VERSION = "skills.beta_skill_version.BetaSkillVersion"
SkillAnswer = Annotated[dict[str, Any], Answer(SKILL)]
SkillPage = Annotated[dict[str, Any], Answer(SKILL, page=True)]
VersionAnswer = Annotated[dict[str, Any], Answer(VERSION)]
VersionPage = Annotated[dict[str, Any], Answer(VERSION, page=True)]
DeleteAnswer = Annotated[dict[str, Any], Answer("beta_deleted_skill.BetaDeletedSkill")]
DeleteVersionAnswer = Annotated[dict[str, Any], Answer("skills.beta_deleted_skill_version.BetaDeletedSkillVersion")]
LEGACY = "skills-2025-10-02"
DISPLAY_NAME = ("display_name", "display_title")


def upload_body(**texts: Any) -> dict[str, Any]:
    """The multipart body of an upload, for the OpenAPI document."""
    files = {"type": "array", "items": {"type": "string", "format": "binary"}}
    schema = {"type": "object", "required": ["files[]"], "properties": {"files[]": files, **texts}}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


CREATE_BODY = upload_body(display_name={"type": "string", "maxLength": actions.MAX_DISPLAY_NAME})


class PageQuery(QueryModel):
    limit: int = Field(20, ge=1, le=1000)
    page: str | None = None


class ListQuery(PageQuery):
    source: Literal["custom", "anthropic", "anthropic_example", "plugin"] | None = None


def is_legacy(request: Request) -> bool:
    betas = request.headers.get("anthropic-beta", "")
    return LEGACY in (beta.strip() for beta in betas.split(","))


def skill_answer(request: Request, skill: Skill) -> dict[str, Any]:
    return shapes.legacy_skill_shape(skill) if is_legacy(request) else shapes.skill_shape(skill)


def version_answer(request: Request, version: SkillVersion) -> dict[str, Any]:
    return shapes.legacy_version_shape(version) if is_legacy(request) else shapes.version_shape(version)


@router.post("", response=SkillAnswer, operation_id="skills.create", openapi_extra=CREATE_BODY)
def create(request: Request) -> dict[str, Any]:
    """One zip, or the files one by one with their paths as filenames."""
    upload = uploads.read(request, DISPLAY_NAME)
    display_name = next((upload.texts[name] for name in DISPLAY_NAME if name in upload.texts), None)
    return skill_answer(request, actions.create_skill(upload.parts, display_name, request.acting))


@router.get("", response=SkillPage, operation_id="skills.list")
def list_skills(request: Request, query: Query[ListQuery]) -> dict[str, Any]:
    """Newest first. Only custom skills exist here."""
    rows = Skill.objects.filter(workspace_id=request.acting.workspace_id).select_related("latest")
    if query.source not in (None, shapes.CUSTOM):
        rows = rows.none()
    if not is_legacy(request):
        rows = rows.exclude(latest=None)
    found = paginate(rows, kind="skills", fields=("created_at", "id"), limit=query.limit, page=query.page)
    answer = found.answer(lambda skill: skill_answer(request, skill))
    return {**answer, **_more(request, found)}


@router.get("/{skill_id}", response=SkillAnswer, operation_id="skills.retrieve")
def retrieve(request: Request, skill_id: str) -> dict[str, Any]:
    return skill_answer(request, actions.find_skill(skill_id, request.acting, empty=is_legacy(request)))


@router.delete("/{skill_id}", response=DeleteAnswer, operation_id="skills.delete")
def delete(request: Request, skill_id: str) -> dict[str, Any]:
    actions.delete_skill(skill_id, request.acting)
    return {"id": skill_id, "type": "skill_deleted"}


@router.post(
    "/{skill_id}/versions", response=VersionAnswer, operation_id="skills.versions.create", openapi_extra=upload_body()
)
def create_version(request: Request, skill_id: str) -> dict[str, Any]:
    actions.find_skill(skill_id, request.acting, empty=True)  # told before the upload is read
    upload = uploads.read(request, ())
    return version_answer(request, actions.create_version(skill_id, upload.parts, request.acting))


@router.get("/{skill_id}/versions", response=VersionPage, operation_id="skills.versions.list")
def list_versions(request: Request, skill_id: str, query: Query[PageQuery]) -> dict[str, Any]:
    """Newest first."""
    skill = actions.find_skill(skill_id, request.acting, empty=is_legacy(request))
    rows = SkillVersion.objects.filter(skill=skill).select_related("skill")
    kind = f"skill_versions:{skill.pk}"
    found = paginate(rows, kind=kind, fields=("number",), limit=query.limit, page=query.page)
    answer = found.answer(lambda version: version_answer(request, version))
    return {**answer, **_more(request, found)}


@router.get("/{skill_id}/versions/{version}", response=VersionAnswer, operation_id="skills.versions.retrieve")
def retrieve_version(request: Request, skill_id: str, version: str) -> dict[str, Any]:
    """By the version's id, or the newest by ``latest``."""
    skill = actions.find_skill(skill_id, request.acting, empty=is_legacy(request))
    return version_answer(request, actions.find_version(skill, version))


@router.delete("/{skill_id}/versions/{version}", response=DeleteVersionAnswer, operation_id="skills.versions.delete")
def delete_version(request: Request, skill_id: str, version: str) -> dict[str, Any]:
    legacy = is_legacy(request)
    gone = actions.delete_version(skill_id, version, request.acting, may_empty=legacy)
    return {"id": str(gone.number) if legacy else gone.pk, "type": "skill_version_deleted"}


@router.get("/{skill_id}/versions/{version}/content", operation_id="skills.versions.download")
def download(request: Request, skill_id: str, version: str) -> StreamingHttpResponse:
    """A zip of the version; its one top directory and its name are the skill's."""
    skill = actions.find_skill(skill_id, request.acting, empty=is_legacy(request))
    stream = actions.open_archive(actions.find_version(skill, version))
    return pieces.download(stream, filename=f"{skill.name}.zip", mime_type="application/zip")


def _more(request: Request, found: Page[Any]) -> dict[str, bool]:
    return {"has_more": found.next_page is not None} if is_legacy(request) else {}
