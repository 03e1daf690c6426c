"""Pages of skills: the list, uploads of a zip or a folder, versions with their files, deletion."""

from __future__ import annotations

import zipfile
from functools import wraps
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from agents.models import AgentVersion, Skill, SkillVersion
from agents.skills import actions
from agents.skills.archive import MAX_BYTES
from agents.skills.uploads import Collector, WholeNames
from agents.templatetags.holdfast import coloured
from contract import pieces
from contract.door import page, problem
from contract.errors import ApiError, InvalidRequest, NotFound
from contract.roles import Permission

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse
    from django.http.response import HttpResponseBase

    from contract.door import PageView
    from contract.http import Request

PAGE_SIZE = 24
SHOWN_VERSIONS = 50
LISTED_AGENTS = 20
SHOWN_BYTES = 200_000
MAIN = "SKILL.md"


def with_folders(view: PageView) -> PageView:
    """A page whose uploaded files keep their folders, as ``request.parts``; Django's own reader cuts them off.

    The body is read here, before the check of the form's token reads it the usual way. Strangers' bodies are not kept.
    """

    @wraps(view)
    def read(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method == "POST" and request.user.is_authenticated:
            collector = Collector()
            request.upload_handlers = [collector]
            parse = lambda meta, data: WholeNames(meta, data, [collector], "utf-8").parse()  # noqa: E731
            request.parse_file_upload = parse  # type: ignore[method-assign]
            try:
                request._load_post_and_files()
            except InvalidRequest as error:
                return problem(request, error)
            request.parts = collector.parts  # type: ignore[attr-defined]
        return csrf_protect(view)(request, *args, **kwargs)

    return csrf_exempt(read)


@page(Permission.READ)
def skill_list(request: Request) -> HttpResponse:
    rows = Skill.objects.filter(workspace_id=request.acting.workspace_id).select_related("latest")
    shown = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "skills/list.html", {"page": shown})


@with_folders
@page(Permission.BUILD, "GET", "HEAD", "POST")
def skill_new(request: Request) -> HttpResponse:
    wrong = ""
    if request.method == "POST":
        try:
            made = actions.create_skill(_parts(request), request.POST.get("display_name") or None, request.acting)
        except InvalidRequest as error:
            wrong = _plain(error)
        else:
            messages.success(request, _("%(name)s is ready.") % {"name": made.display_name}, "done")
            return redirect("agents:skill", made.pk)
    return _upload(request, {"wrong": wrong})


@with_folders
@page(Permission.BUILD, "GET", "HEAD", "POST")
def skill_version_new(request: Request, skill_id: str) -> HttpResponse:
    skill = actions.find_skill(skill_id, request.acting, empty=True)
    wrong = ""
    if request.method == "POST":
        try:
            actions.create_version(skill_id, _parts(request), request.acting)
        except InvalidRequest as error:
            wrong = _plain(error)
        else:
            messages.success(request, _("The new version is ready. Agents keep the version they name."), "done")
            return redirect("agents:skill", skill_id)
    return _upload(request, {"wrong": wrong, "skill": skill})


@page(Permission.READ)
def skill(request: Request, skill_id: str) -> HttpResponse:
    """A skill's version (``?version=``, else its newest) with one of its files (``?file=``), and who uses it."""
    found = actions.find_skill(skill_id, request.acting, empty=True)
    listed = list(SkillVersion.objects.filter(skill=found).defer("files")[:SHOWN_VERSIONS])
    wanted = request.GET.get("version", "").replace("\x00", "")
    shown = actions.find_version(found, wanted or actions.LATEST) if wanted or found.latest_id else None
    name = request.GET.get("file", MAIN)
    context: dict[str, Any] = {"skill": found, "versions": listed, "shown": shown, "name": name}
    if shown is not None:
        context |= _content(shown, name)
    users = AgentVersion.objects.filter(
        agent__workspace_id=request.acting.workspace_id, spec__skills__contains=[{"skill_id": skill_id}]
    )
    context["agents"] = list(users.order_by("agent_id", "-version").distinct("agent_id")[:LISTED_AGENTS])
    return render(request, "skills/skill.html", context)


@page(Permission.READ)
def skill_download(request: Request, skill_id: str, version: str) -> HttpResponseBase:
    found = actions.find_skill(skill_id, request.acting, empty=True)
    stream = actions.open_archive(actions.find_version(found, version))
    return pieces.download(stream, filename=f"{found.name}.zip", mime_type="application/zip")


@page(Permission.BUILD, "POST")
def skill_delete(request: Request, skill_id: str) -> HttpResponse:
    name = actions.find_skill(skill_id, request.acting, empty=True).display_name
    actions.delete_skill(skill_id, request.acting)
    messages.success(request, _("%(name)s is deleted with every version.") % {"name": name}, "done")
    return redirect("agents:skills")


@page(Permission.BUILD, "POST")
def skill_version_delete(request: Request, skill_id: str, version: str) -> HttpResponse:
    try:
        actions.delete_version(skill_id, version, request.acting)
    except InvalidRequest as error:
        messages.error(request, _plain(error), "failed")
    else:
        messages.success(request, _("The version is deleted."), "done")
    return redirect("agents:skill", skill_id)


def _parts(request: Request) -> Any:
    parts = getattr(request, "parts", [])
    if not parts:
        raise InvalidRequest(_("files: Choose a zip or a folder first."))
    return parts


def _upload(request: Request, context: dict[str, Any]) -> HttpResponse:
    status = 422 if context["wrong"] else 200
    return render(request, "skills/upload.html", context | {"most": MAX_BYTES // 1024 // 1024}, status=status)


def _content(version: SkillVersion, name: str) -> dict[str, Any]:
    """What a page shows of one file: its text, or why it doesn't."""
    entry = next((one for one in version.files if one["path"] == name), None)
    if entry is None:
        raise NotFound(f"Version {version.pk} has no file {name}.")
    if entry["size"] > SHOWN_BYTES:
        return {"unshown": _("It is too long to be shown here. Download the version to read it.")}
    with actions.open_archive(version) as stream, zipfile.ZipFile(stream) as archive:
        data = archive.read(f"{version.skill.name}/{name}")
    try:
        return {"text": coloured(data.decode(), filename=name)}
    except UnicodeDecodeError:
        return {"unshown": _("It is no text. Download the version to open it.")}


def _plain(error: ApiError) -> str:
    """The sentence without the API's name of the body's part."""
    return error.message.removeprefix("files: ")
