"""A session's repositories, put into its sandbox when it is opened (spec core 9.1)."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from credentials.egress.client import Grant
from sessions import events as ev
from sessions import repositories as repos
from sessions.events import Draft
from sessions.models import Resource
from sessions.projections.faults import session_error
from sessions.repositories import Repository
from sessions.resources import REPOSITORY, kinds, token_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agents.sandboxes.base import CallResult
    from sessions.models import Session

    Bash = Callable[[str, str, int], CallResult]  # call id, command, seconds


def of_session(session_id: str) -> list[tuple[Repository, Resource]]:
    """The repositories of a session, in the order they were named."""
    if REPOSITORY not in kinds(session_id):
        return []
    rows = Resource.objects.filter(session_id=session_id, kind=REPOSITORY).order_by("created_at", "id")
    return [(Repository(row.pk, row.details["url"], row.mount_path, row.details["checkout"]), row) for row in rows]


def grant_name(repository: Repository) -> str:
    return f"repository {repository.id}"


def grants(repository: Repository, row: Resource) -> list[Grant]:
    """The loan of a repository's token, good for its own paths only. Raises ``CannotOpen``."""
    token = token_of(row)
    if token is None:
        return []
    return [Grant(repository.id, grant_name(repository), token, (repository.host,), paths=repository.paths)]


def pending(session_id: str) -> bool:
    """Whether a repository of the session is not in its sandbox yet."""
    return Resource.objects.filter(session_id=session_id, kind=REPOSITORY, state={}).exists()


def skills(session_id: str) -> list[dict[str, Any]]:
    """The skills found in the session's repositories when they were first cloned (spec advanced 5.3)."""
    rows = Resource.objects.filter(session_id=session_id, kind=REPOSITORY).order_by("created_at", "id")
    return [skill for state in rows.values_list("state", flat=True) for skill in state.get("skills", ())]


def check_out(session: Session, bash: Bash, *, anew: bool) -> list[Draft]:
    """Clone what is not there yet; with ``anew`` everything, into a sandbox that lost its files.

    Raises ``SandboxError``.
    """
    wanted = [(one, row) for one, row in of_session(session.pk) if anew or not row.state]
    return [_check_out(repository, row, bash) for repository, row in wanted]


def _check_out(repository: Repository, row: Resource, bash: Bash) -> Draft:
    attempt = f"{repository.id}-{uuid.uuid4().hex}"
    result = bash(attempt, repos.clone_command(repository), repos.CLONE_SECONDS)
    stage, said = repos.outcome(_text(result.content))
    if result.is_error:
        kind = repos.failure(stage, said)
        text = f"{repository.url} is not in the sandbox: {said[-repos.SAID :] or 'git gave no reason'}"
        error = {**session_error(kind, text, "retrying"), "repository_url": repository.url}
        return Draft(ev.SESSION_ERROR, {"error": error})
    if not row.state:
        found = repos.discovered(_text(bash(f"{attempt}-skills", repos.skills_command(repository), 60).content))
        shown = [{"name": one.name, "description": one.description, "path": one.path} for one in found]
        words = stage.split() if stage.startswith("commit") else []
        row.state = {"commit": "".join(words[1:2]), "skills": shown}
        if note := repos.LARGE_FILES.get("".join(words[2:3])):
            row.state["note"] = note.format(said=said[-repos.SAID :] or "git-lfs gave no reason")
        row.save(update_fields=["state"])
    about = {"resource_id": repository.id, "url": repository.url, "path": repository.path}
    return Draft(ev.OPS_REPOSITORY_READY, {**about, **row.state})


def _text(content: Sequence[dict[str, Any]]) -> str:
    return "\n".join(block.get("text", "") for block in content)
